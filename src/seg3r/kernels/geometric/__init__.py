"""The inner loops of the geometric segmenter: from a depth map and an image to patches, and from patches to objects.

Everything lives in the camera's frame and in disparity d = 1/z. There a plane n.X = 1 is linear in the image,
d = n.(x, y, 1) with x = (u - cx) / fx, so local fits are 3-parameter least squares; and the noise of structured-light
sensors, quadratic in z, is nearly constant.
"""
