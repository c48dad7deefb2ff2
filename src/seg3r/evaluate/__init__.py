"""A method on recordings with truth: rooms, one camera, questions, data sets, tasks in words."""
