"""Views of a few solids over a plane, ray-cast in closed form: scenes whose objects are known without any renderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seg3r.geometry import look_at, transform, unproject
from seg3r.types import Camera, Frame, View

EYE, TARGET, UP = (0.0, -1.4, 1.1), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Box:
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    color: tuple[int, int, int]

    def hit(self, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
        safe = np.where(np.abs(rays) < 1e-12, 1e-12, rays)
        a, b = (np.array(self.low) - eye) / safe, (np.array(self.high) - eye) / safe
        near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Sphere:
    centre: tuple[float, float, float]
    radius: float
    color: tuple[int, int, int]

    def hit(self, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
        to = np.array(self.centre) - eye
        along, square = rays @ to, (rays**2).sum(-1)
        under = along**2 - square * (to @ to - self.radius**2)
        return np.where(under > 0, (along - np.sqrt(np.maximum(under, 0))) / square, np.inf)


@dataclass(frozen=True)
class Patch:
    """A coloured rectangle in the plane: geometry cannot see it."""

    low: tuple[float, float]
    high: tuple[float, float]
    color: tuple[int, int, int]

    def hit(self, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
        t = -eye[2] / rays[..., 2]
        at = eye + t[..., None] * rays
        inside = (at[..., :2] >= np.array(self.low)).all(-1) & (at[..., :2] <= np.array(self.high)).all(-1)
        return np.where(inside & (t > 0), t - 1e-9, np.inf)


def render(
    solids: Sequence[Box | Sphere | Patch], size: tuple[int, int] = (120, 160), noise_seed: int | None = None,
    motion: torch.Tensor | None = None,
) -> tuple[View, torch.Tensor]:
    """View of the solids on the plane z = 0, and the truth [H W] (0 = plane, 1.. the solids in order).

    `motion` moves the world and the camera together; `noise_seed` adds the noise of a structured-light sensor.
    """
    H, W = size
    f = 0.9 * W
    K = torch.tensor([[f, 0.0, (W - 1) / 2], [0.0, f, (H - 1) / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)
    eye, target, up = (torch.tensor(v, dtype=torch.float64) for v in (EYE, TARGET, UP))
    T = look_at(eye, target, up)
    rays = unproject(torch.ones(H, W, dtype=torch.float64), K).numpy() @ T[:3, :3].numpy().T
    at = eye.numpy()
    depth = np.where(rays[..., 2] < -1e-9, -at[2] / np.minimum(rays[..., 2], -1e-9), np.inf)
    truth = np.zeros(size, np.int64)
    rgb = np.full((H, W, 3), (150, 150, 145), np.uint8)
    for number, solid in enumerate(solids, 1):
        t = solid.hit(at, rays)
        nearer = t < depth
        depth, truth = np.where(nearer, t, depth), np.where(nearer, number, truth)
        rgb[nearer] = solid.color
    depth[~np.isfinite(depth)] = 0
    if noise_seed is not None:
        noise = np.random.default_rng(noise_seed).standard_normal(size)
        depth = np.where(depth > 0, depth + (0.0012 + 0.0019 * (depth - 0.4) ** 2) * noise, 0)
    if motion is not None:
        T = motion @ T
    camera = Camera(K, T, size)
    z = torch.from_numpy(depth.astype(np.float32))
    frame = Frame(0, 0.0, torch.from_numpy(rgb), z, camera)
    view = View(frame, camera, z, transform(T, unproject(z, K)), (z > 0).float())
    return view, torch.from_numpy(truth)
