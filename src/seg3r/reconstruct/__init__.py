"""Frame -> View: where was the camera, and what did it look at?"""
