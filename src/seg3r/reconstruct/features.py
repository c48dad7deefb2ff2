"""What a frame is known by: SIFT where it finds something, and points followed from image to image where it does not.

A blurred stretch or a plain wall leaves a detector a handful of corners, each frame others; a patch that is followed
(Lucas & Kanade; pyramids: Bouguet 2000) is found there again nearly without a mistake.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from scipy.spatial import cKDTree

FEATURES = 2000
CONTRAST = 0.004
"""Of a feature; a tenth of SIFT's own, for dark cupboards and white walls."""
ALIKE = 0.8
"""Product of two descriptors (of unit length) below which they are no match ..."""
RATIO = 0.9
"""... and the best must be nearer than this times the second best."""
PATCH = 15
"""Pixels, the side of what is followed ..."""
LEVELS = 4
"""... over so many halvings of the image ..."""
RETURN = 0.5
"""... and whoever is followed back must come home to within so many pixels."""
TIE = 1e-4
"""Squared distances of unit vectors that come from products in single precision are known no better than that: the
product of 128 numbers is off by some 1e-5, less or more with the order in which a processor adds them."""
APART = 2.0
"""Pixels from a detected feature with a like descriptor, within which a followed one is the same."""


class Features(NamedTuple):
    """Of one frame."""

    pixels: Float64[np.ndarray, "n 2"]
    """(column, row) from the principal point."""
    descriptors: Float32[np.ndarray, "n 128"]
    """Unit length (RootSIFT: Arandjelovic & Zisserman, CVPR 2012)."""


class FeatureDetector:
    """Grey image -> features."""

    def __init__(self, centre: tuple[float, float]) -> None:
        """
        Args:
            centre: principal point (column, row).
        """
        self.centre = np.array(centre)
        self._sift = cv2.SIFT.create(FEATURES, contrastThreshold=CONTRAST)

    def __call__(self, gray: UInt8[np.ndarray, "H W"]) -> Features:
        """Those that SIFT finds."""
        keypoints, found = self._sift.detectAndCompute(gray, None)
        if not keypoints:
            return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
        at = np.array([k.pt for k in keypoints], np.float64) - self.centre
        root = np.sqrt(found / np.maximum(found.sum(1, keepdims=True), 1e-6)).astype(np.float32)
        return Features(at, root)

    def joined(
        self, detected: Features, earlier: Features, *, before: UInt8[np.ndarray, "H W"], gray: UInt8[np.ndarray, "H W"]
    ) -> Features:
        """`detected` in image `gray`, and behind them those of the image `before` that are followed here and were not
        detected again; they keep their descriptors."""
        to, good = followed(before, gray, earlier.pixels + self.centre)
        pixels, descriptors = to[good] - self.centre, earlier.descriptors[good]
        if len(pixels) and len(detected.pixels):
            close = cKDTree(pixels).sparse_distance_matrix(cKDTree(detected.pixels), APART, output_type="coo_matrix")
            alike = np.einsum("nd,nd->n", descriptors[close.row], detected.descriptors[close.col]) > ALIKE
            new = np.ones(len(pixels), np.bool_)
            new[close.row[alike]] = False
            pixels, descriptors = pixels[new], descriptors[new]
        return Features(np.concatenate((detected.pixels, pixels)), np.concatenate((detected.descriptors, descriptors)))


def followed(
    before: UInt8[np.ndarray, "H W"], gray: UInt8[np.ndarray, "H W"], pixels: Float64[np.ndarray, "n 2"]
) -> tuple[Float64[np.ndarray, "n 2"], Bool[np.ndarray, "n"]]:
    """Where pixels (column, row) of one image are in the next, and which of these are to be believed: those that
    come home when followed back, and have their patch inside."""
    if not len(pixels):
        return pixels, np.zeros(0, np.bool_)
    there, back = (np.zeros((len(pixels), 2), np.float32) for _ in range(2))
    here = pixels.astype(np.float32)
    how = {"winSize": (PATCH, PATCH), "maxLevel": LEVELS}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, gray, here, there, **how)  # type: ignore[call-overload]
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(gray, before, there, back, **how)  # type: ignore[call-overload]
    size = np.array(gray.shape[::-1])
    good = (found.ravel() > 0) & (found_back.ravel() > 0) & (np.linalg.norm(back - here, axis=1) < RETURN)
    good &= ((there >= APART) & (there < size - APART)).all(1)
    return there.astype(np.float64), good


def mutual_matches(
    a: Float32[np.ndarray, "n d"], b: Float32[np.ndarray, "m d"], least: float = ALIKE, ratio: float = RATIO
) -> Int64[np.ndarray, "k 2"]:
    """Pairs of descriptors that are each other's best, clearly so.

    Args:
        least: product of the two.
        ratio: of the distances to the best and to the second best, at most.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.int64)
    alike = a @ b.T
    best, back = alike.argmax(1), alike.max(0)
    rows = np.arange(len(a))
    top = alike[rows, best]
    alike[rows, best] = -1.0
    second = alike.max(1)
    # Squared distances of unit vectors, from their products; two within `TIE` of each other are equally near.
    near, next_ = 2 - 2 * top, 2 - 2 * second
    clear = (near < ratio**2 * next_) & (next_ - near > TIE)
    matched = np.flatnonzero((top == back[best]) & clear & (top > least))
    _, one = np.unique(best[matched], return_index=True)  # two rows may be equally near
    matched = np.sort(matched[one])
    return np.stack((matched, best[matched]), 1).astype(np.int64)
