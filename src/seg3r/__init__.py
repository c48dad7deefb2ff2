"""seg3r: online 3D maps of object instances from RGB and RGB-D video, with open-vocabulary answers."""
