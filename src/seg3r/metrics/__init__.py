"""Numbers of predictions against truth. Pure: arrays in, numbers out."""
