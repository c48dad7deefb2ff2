"""Depth of a moving camera whose poses are known: plane sweep stereo, weight-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int16, UInt8

from seg3r.errors import InputError
from seg3r.kernels import sweep as kernels


@dataclass(frozen=True, eq=False)
class PosedImage:
    """A grey image and the camera that took it."""

    gray: UInt8[np.ndarray, "H W"]
    K: Float64[np.ndarray, "3 3"]
    """Pixels of `gray`; pixel centres are integers."""
    T_world_cam: Float64[np.ndarray, "4 4"]


class SweptView(NamedTuple):
    """An image whose depth was found before."""

    image: PosedImage
    depth: Float32[np.ndarray, "H W"]
    confidence: Float32[np.ndarray, "H W"]


class Small(NamedTuple):
    """An image at the working resolution."""

    gray: Float32[np.ndarray, "h w"]
    """About 0."""
    K: Float64[np.ndarray, "3 3"]
    T_world_cam: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Sweep:
    """Planes of even inverse depth (Collins, CVPR 1996) compared by zero-mean normalised correlation, the two best
    sources of each pixel; semi-global matching (Hirschmueller, PAMI 2008); earlier depth of the same surface.

    Nothing is filled in: a pixel without a sure answer has confidence 0.
    """

    width: int = 270
    """Of the working resolution, pixels."""
    planes: int = 64
    window: int = 5
    """Side of the correlated windows, pixels."""
    small: int = 14
    """Penalty for one plane's change between neighbours; a window that does not correlate costs 120."""
    large: int = 200
    """Penalty for any other change, on an even surface."""
    edge: float = 6.0
    """Grey levels of difference that halve `large`."""
    reach: int = 3
    """Pixels around one whose agreement supports it."""
    full_margin: float = 0.4
    """A winner whose best rival is dearer by this share is as sure as any."""
    least_support: float = 0.1
    """Mean margin of what agrees in the window, below which a pixel is not believed; half where earlier views agree."""
    denied: float = 3.0
    """So much more support is needed where earlier views looked through a pixel."""
    tolerance: float = 0.04
    """Depths of two views agree within this share."""
    alike: float = 12.0
    """Grey levels by which a surface may change between views when its earlier depth is carried over."""
    objection: float = 0.1
    """A carried depth where the view itself has none may be dearer than the cheapest plane by this share."""
    jump: float = 0.08
    """Neighbours further apart than this share belong to two surfaces."""
    speck: int = 100
    """Pixels of the working resolution below which a surface on its own is noise."""

    def __call__(
        self, reference: PosedImage, sources: Sequence[PosedImage], near: float, far: float,
        earlier: Sequence[tuple[PosedImage, Float32[np.ndarray, "_ _"], Float32[np.ndarray, "_ _"]]] = (),
    ) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """Depth along the optical axis (0 = none) and confidence in 0..1 (0 = do not use) of the reference.

        Args:
            sources: other views of the scene, from aside.
            near, far: where the sweep begins and ends, in the unit of the poses.
            earlier: `SweptView`, results for views before, the latest last.

        Raises:
            InputError: no source, images of other sizes or smaller than a window, or a range that is none.
        """
        if not sources:
            raise InputError("a plane sweep needs at least one other view")
        if not (np.isfinite(far) and 0 < near < far):
            raise InputError(f"a plane sweep from {near:g} to {far:g}: needs 0 < near < far")
        H, W = reference.gray.shape
        if any(view.gray.shape != (H, W) for view in sources):
            raise InputError(f"a plane sweep of a {W}x{H} image: every other view must be of that size")
        here = self._small(reference)
        if min(here.gray.shape) < self.window:
            raise InputError(f"a plane sweep of a {W}x{H} image: smaller than a window of {self.window} pixels")
        views = [self._small(each) for each in sources]
        before = [self._earlier(SweptView(*each)) for each in earlier]
        total = self._swept(here, views, near, far)
        depth, confidence = self._judged(total, near, far, here, before)
        if before:
            depth, confidence = self._blended(depth, confidence, total, near, far, here, *before[-1])
        kernels.drop_specks(depth, self.tolerance, self.speck, confidence)
        kernels.drop_rims(depth, self.jump, confidence)
        full, sure = np.empty((H, W), np.float32), np.empty((H, W), np.float32)
        kernels.enlarge(depth, confidence, self.jump, full, sure)
        return full, sure

    def _swept(self, here: Small, views: Sequence[Small], near: float, far: float) -> Int16[np.ndarray, "h w d"]:
        """What each plane costs, its neighbours' opinions included."""
        h, w = here.gray.shape
        radius = self.window // 2
        inverse = np.linspace(1 / far, 1 / near, self.planes)
        homographies = np.stack([_homographies(here, view, inverse) for view in views]).astype(np.float32)
        mean, spread = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
        kernels.window_moments(here.gray, radius, mean, spread)
        cost = np.empty((h, w, self.planes), np.uint8)
        images = np.stack([view.gray for view in views])
        kernels.matching_cost(here.gray, mean, spread, images, homographies, radius, cost)
        total = np.empty((h, w, self.planes), np.int16)
        kernels.aggregate(cost, here.gray, self.small, self.large, self.edge, total)
        return total

    def _judged(
        self, total: Int16[np.ndarray, "h w d"], near: float, far: float, here: Small,
        before: Sequence[tuple[Small, Float32[np.ndarray, "_ _"], Float32[np.ndarray, "_ _"]]],
    ) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Depth of the cheapest planes, and how far it is to be believed."""
        depth, margin, confidence = (np.empty(here.gray.shape, np.float32) for _ in range(3))
        kernels.winners(total, near, far, depth, margin)
        depth = np.asarray(cv2.medianBlur(depth, 3), np.float32)  # a pixel alone would tear a hole as a rim
        evidence = np.minimum(margin / np.float32(self.full_margin), np.float32(1))
        kernels.support(depth, evidence, self.reach, self.tolerance, confidence)
        votes = np.zeros(depth.shape, np.int16)
        for view, other, sure in before:
            kernels.agreement(depth, here.K, _from_to(here, view), other, sure, view.K, self.tolerance, votes)
        least = self.least_support / self.full_margin * np.where(votes > 0, 0.5, np.where(votes < 0, self.denied, 1.0))
        confidence[confidence < least] = 0
        return depth, confidence

    def _blended(
        self, depth: Float32[np.ndarray, "h w"], confidence: Float32[np.ndarray, "h w"],
        total: Int16[np.ndarray, "h w d"], near: float, far: float, here: Small, view: Small,
        other: Float32[np.ndarray, "a b"], sure: Float32[np.ndarray, "a b"],
    ) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """With the last view's depth carried over: the mean where both agree, the carried one where it is alone."""
        came, trust = np.empty_like(depth), np.empty_like(depth)
        kernels.carried(
            other, sure, view.gray, view.K, _from_to(view, here), here.gray, here.K, self.alike, came, trust
        )
        agree = (trust > 0) & (confidence > 0) & (np.abs(came - depth) <= self.tolerance * depth)
        against = np.empty_like(depth)
        kernels.objections(total, came, near, far, against)
        alone = (trust > 0) & (confidence <= 0) & (against < self.objection)
        weight = np.where(agree, trust / np.maximum(trust + confidence, 1e-9), 0)
        mean = 1 / ((1 - weight) / np.maximum(depth, 1e-9) + weight / np.maximum(came, 1e-9))
        fused = np.where(alone, came, np.where(agree, mean, depth))
        surer = np.where(agree, np.minimum(confidence + 0.5 * trust, 1), np.where(alone, 0.7 * trust, confidence))
        return fused.astype(np.float32), surer.astype(np.float32)

    def _small(self, image: PosedImage) -> Small:
        H, W = image.gray.shape
        w = min(self.width, W)
        h = max(2, round(H * w / W))
        gray = cv2.resize(image.gray, (w, h), interpolation=cv2.INTER_AREA) if w < W else image.gray
        K = image.K.copy()
        K[0] *= w / W
        K[1] *= h / H
        K[0, 2] += 0.5 * w / W - 0.5
        K[1, 2] += 0.5 * h / H - 0.5
        return Small(gray.astype(np.float32) - np.float32(128), K, image.T_world_cam)

    def _earlier(
        self, seen: SweptView
    ) -> tuple[Small, Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        small = self._small(seen.image)
        h, w = small.gray.shape
        H, W = seen.depth.shape
        rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in ((h, H), (w, W)))
        at = np.ix_(rows.astype(int), columns.astype(int))
        return small, np.ascontiguousarray(seen.depth[at]), np.ascontiguousarray(seen.confidence[at])


def _homographies(
    here: Small, view: Small, inverse: Float64[np.ndarray, "d"]
) -> Float64[np.ndarray, "d 3 3"]:
    """Pixels of `here` to pixels of `view`, for planes across the optical axis of `here`."""
    T = _from_to(here, view)
    back = np.linalg.inv(here.K)
    plane = np.zeros((len(inverse), 3, 3))
    plane[:, :, 2] = inverse[:, None] * T[:3, 3]
    return np.asarray(view.K @ (T[:3, :3] + plane) @ back, np.float64)


def _from_to(one: Small, two: Small) -> Float64[np.ndarray, "4 4"]:
    """Points of the first camera in the second's frame."""
    return np.asarray(np.linalg.inv(two.T_world_cam) @ one.T_world_cam, np.float64)
