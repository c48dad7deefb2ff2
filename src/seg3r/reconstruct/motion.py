"""How a camera moved between two frames whose depth is known: dense flow, then the pose that explains it.

For a network that sees depth better than motion; on rooms it halves the drift of a small one's own poses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.spatial.transform import Rotation


class FlowView(NamedTuple):
    """A frame with its geometry."""

    gray: UInt8[np.ndarray, "H W"]
    points: Float32[np.ndarray, "H W 3"]
    """In its camera's frame; z = 0: none."""


@dataclass(frozen=True)
class FlowMotion:
    """Dense inverse search flow (Kroeger et al., ECCV 2016) both ways, PnP in a RANSAC, then both frames' points
    projected into the other, weighted and robust."""

    step: int = 4
    """Pixels between samples."""
    agree_px: float = 1.0
    """Forward and backward flow may differ by so much."""
    agree_gray: float = 48.0
    """A pixel may be so much brighter or darker where flow says it went."""
    inlier_px: float = 2.0
    flow_px: float = 0.5
    """Error of the flow ..."""
    depth_share: float = 0.1
    """... and of the depth, independent between samples: along the way a pixel would go with its depth an error counts
    less. Without, noise of depth passes for a turn and the steps come out too short."""
    least: int = 60
    """Samples below which there is no answer."""
    rounds: int = 10
    seed: int = 0

    def __call__(
        self, before: FlowView, after: FlowView, K: Float64[np.ndarray, "3 3"]
    ) -> Float64[np.ndarray, "4 4"] | None:
        """T_before_after: the later camera in the earlier one's frame; None where the flow holds no answer.

        Args:
            K: intrinsics of both.
        """
        there, back = _flow(before.gray, after.gray), _flow(after.gray, before.gray)
        one = self._samples(before, after.gray, there, back)
        two = self._samples(after, before.gray, back, there)
        if len(one.points) < self.least or len(two.points) < self.least:
            return None
        cv2.setRNGSeed(self.seed)
        found, turned, moved, inliers = cv2.solvePnPRansac(
            one.points, one.pixels, K, None, iterationsCount=200, reprojectionError=self.inlier_px, confidence=0.999,
            flags=cv2.SOLVEPNP_EPNP,
        )
        if not found or inliers is None or len(inliers) < self.least:
            return None
        T = np.eye(4)  # T_after_before
        T[:3, :3], T[:3, 3] = Rotation.from_rotvec(turned.ravel()).as_matrix(), moved.ravel()
        for _ in range(self.rounds):
            T = self._improved(T, one, two, K)
        return np.asarray(np.linalg.inv(T), np.float64)

    def _samples(
        self, of: FlowView, other: UInt8[np.ndarray, "H W"], there: Float32[np.ndarray, "H W 2"],
        back: Float32[np.ndarray, "H W 2"],
    ) -> FlowSamples:
        """Every `step`-th pixel with a point whose flow leads to a pixel of like brightness and leads back."""
        H, W = other.shape
        rows, columns = np.mgrid[self.step // 2 : H : self.step, self.step // 2 : W : self.step].reshape(2, -1)
        at = np.stack((columns, rows), 1) + there[rows, columns]
        inside = (at >= 0).all(1) & (at[:, 0] <= W - 1) & (at[:, 1] <= H - 1)
        c, r = np.rint(at.clip(0, (W - 1, H - 1))).astype(int).T
        off = np.linalg.norm(there[rows, columns] + back[r, c], axis=1)
        alike = np.abs(other[r, c].astype(np.float32) - of.gray[rows, columns]) < self.agree_gray
        good = inside & alike & (off < self.agree_px) & (of.points[rows, columns, 2] > 0)
        trust = 1 / (0.25 + off[good] ** 2)
        return FlowSamples(of.points[rows, columns][good].astype(np.float64), at[good].astype(np.float64), trust)

    def _improved(
        self, T: Float64[np.ndarray, "4 4"], one: FlowSamples, two: FlowSamples, K: Float64[np.ndarray, "3 3"]
    ) -> Float64[np.ndarray, "4 4"]:
        """One step of Gauss and Newton on both projections, with Cauchy's weights."""
        H, g = np.zeros((6, 6)), np.zeros(6)
        back = np.linalg.inv(T)
        for samples, pose, sign in ((one, T, 1.0), (two, back, -1.0)):
            at = samples.points @ pose[:3, :3].T + pose[:3, 3]
            ahead = at[:, 2] > 0.05
            p, seen, trust = at[ahead], samples.pixels[ahead], samples.trust[ahead]
            z = p[:, 2]
            fx, fy = K[0, 0], K[1, 1]
            off = np.stack((fx * p[:, 0] / z + K[0, 2], fy * p[:, 1] / z + K[1, 2]), 1) - seen
            zero = np.zeros_like(z)
            slope = np.stack((
                np.stack((fx / z, zero, -fx * p[:, 0] / z**2), 1), np.stack((zero, fy / z, -fy * p[:, 1] / z**2), 1),
            ), 1)  # [n 2 3]: of the pixel by the point
            along = np.einsum("nij,nj->ni", slope, samples.points[ahead] @ pose[:3, :3].T) * self.depth_share
            spread = self.flow_px**2 + (along**2).sum(1)
            W = (np.eye(2) - along[:, :, None] * along[:, None, :] / spread[:, None, None])  # of the inverse covariance
            weight = trust / (1 + np.einsum("ni,nij,nj->n", off, W, off) / self.inlier_px**2)
            W = W * weight[:, None, None]
            # The step multiplies T from the left; the inverse pose sees it from the right, turned into its own frame.
            if sign > 0:
                lever = np.concatenate((np.broadcast_to(np.eye(3), (len(p), 3, 3)), -_cross(p)), axis=2)
            else:
                q = samples.points[ahead]
                lever = -np.einsum("ij,njk->nik", pose[:3, :3], np.concatenate(
                    (np.broadcast_to(np.eye(3), (len(q), 3, 3)), -_cross(q)), axis=2))
            J = slope @ lever
            H += np.einsum("nai,nab,nbj->ij", J, W, J)
            g += np.einsum("nai,nab,nb->i", J, W, off)
        move = -np.linalg.solve(H + 1e-9 * np.trace(H) * np.eye(6), g)
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = Rotation.from_rotvec(move[3:]).as_matrix(), move[:3]
        return np.asarray(step @ T, np.float64)


class FlowSamples(NamedTuple):
    """Points of one frame and where the other sees them."""

    points: Float64[np.ndarray, "n 3"]
    pixels: Float64[np.ndarray, "n 2"]
    """(column, row)."""
    trust: Float32[np.ndarray, "n"]


def _flow(
    a: UInt8[np.ndarray, "H W"], b: UInt8[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W 2"]:
    # A fresh one each time: it would start from what it saw last.
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(a, b, None)  # type: ignore[call-overload, no-any-return]


def _cross(p: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Matrices whose product with a vector is the cross product of p and it."""
    x, y, z = p.T
    o = np.zeros_like(x)
    return np.stack((np.stack((o, -z, y), 1), np.stack((z, o, -x), 1), np.stack((-y, x, o), 1)), 1)
