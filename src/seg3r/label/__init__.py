"""A finished map and words -> names and answers; and the models that look and speak."""
