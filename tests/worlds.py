"""Boxes ray-cast exactly: a world small enough to reason about in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from seg3r.geometry import look_at
from seg3r.types import Camera, Frame


@dataclass(frozen=True)
class BoxWorld:
    """Axis-aligned boxes; box i has truth id i + 1 unless it is listed as background (id 0)."""

    low: np.ndarray
    high: np.ndarray
    background: tuple[int, ...] = (0,)

    def camera(self, eye: Sequence[float], target: Sequence[float], size: tuple[int, int] = (60, 80)) -> Camera:
        f = 0.9 * size[1]
        K = torch.tensor([[f, 0, (size[1] - 1) / 2], [0, f, (size[0] - 1) / 2], [0, 0, 1]], dtype=torch.float64)
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        T = look_at(torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64), up)
        return Camera(K, T, size)

    def frame(self, index: int, camera: Camera) -> tuple[Frame, torch.Tensor]:
        """The frame, and the truth id of every pixel."""
        H, W = camera.size
        K, T = camera.K.numpy(), camera.T_world_cam.numpy()
        v, u = np.mgrid[0:H, 0:W]
        rays = np.stack(((u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones((H, W))), -1) @ T[:3, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            a = (self.low - T[:3, 3])[:, None, None] / rays
            b = (self.high - T[:3, 3])[:, None, None] / rays
        enter = np.nanmax(np.minimum(a, b), -1)
        leave = np.nanmin(np.maximum(a, b), -1)
        t = np.where((enter <= leave) & (enter > 0), enter, np.inf)
        which = t.argmin(0)
        depth = np.where(np.isfinite(t.min(0)), t.min(0), 0).astype(np.float32)
        ids = np.array([0 if i in self.background else i + 1 for i in range(len(self.low))])[which]
        ids[depth == 0] = 0
        palette = np.random.default_rng(0).integers(40, 255, (len(self.low), 3)).astype(np.uint8)
        rgb = palette[which]
        frame = Frame(index, index / 10, torch.from_numpy(rgb), torch.from_numpy(depth), camera)
        return frame, torch.from_numpy(ids)


def table_scene() -> BoxWorld:
    """A floor, a table top, and three boxes on it, one pair of them alike."""
    low = np.array([[-3, -3, -0.1], [-0.8, -0.5, 0.7], [-0.6, -0.2, 0.75], [0.0, -0.2, 0.75], [0.5, 0.1, 0.75]])
    high = np.array([[3, 3, 0.0], [0.8, 0.5, 0.75], [-0.3, 0.1, 1.05], [0.3, 0.1, 1.05], [0.65, 0.3, 0.9]])
    return BoxWorld(low, high)


def walk(world: BoxWorld, frames: int, size: tuple[int, int] = (60, 80)) -> list[tuple[Frame, torch.Tensor]]:
    """An arc around the table and back."""
    out = []
    for i in range(frames):
        angle = 0.9 * np.sin(2 * np.pi * i / max(frames, 1)) - np.pi / 2
        eye = (1.7 * np.cos(angle), 1.7 * np.sin(angle), 1.5)
        out.append(world.frame(i, world.camera(eye, (0, 0, 0.8), size)))
    return out


def write_recording(folder: Path, frames: Sequence[tuple[Frame, torch.Tensor]], masks: str = "masks_truth") -> None:
    """The frames as an RGB-D folder, their truth as a folder of id maps in it."""
    for name in ("color", "depth", "poses", masks):
        (folder / name).mkdir(parents=True)
    for frame, ids in frames:
        assert frame.depth is not None and frame.camera is not None
        stem = f"{frame.index:05d}"
        Image.fromarray(frame.rgb.numpy()).save(folder / "color" / f"{stem}.png")
        millimetres = (frame.depth.numpy() * 1000).round().astype(np.uint16)
        Image.fromarray(millimetres).save(folder / "depth" / f"{stem}.png")
        Image.fromarray(ids.numpy().astype(np.uint16)).save(folder / masks / f"{stem}.png")
        np.savetxt(folder / "poses" / f"{stem}.txt", frame.camera.T_world_cam.numpy())
    np.savetxt(folder / "intrinsics.txt", frames[0][0].camera.K.numpy())  # type: ignore[union-attr]
