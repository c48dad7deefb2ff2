"""Looks and maps small enough to reason about, and an encoder that knows nothing but colours."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seg3r.describe.facts import COLORS, color_name
from seg3r.geometry import look_at
from seg3r.lift import Lift
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.types import Camera, Frame, Masks, Matches, Sighting
from tests.worlds import BoxWorld

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def camera_at(eye: Sequence[float], target: Sequence[float], size: tuple[int, int] = (60, 80)) -> Camera:
    f = 0.9 * size[1]
    K = torch.tensor([[f, 0, (size[1] - 1) / 2], [0, f, (size[0] - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    T = look_at(torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64), UP)
    return Camera(K, T, size)


def sighting(
    mask: Tensor, inside: tuple[int, int, int] = (200, 40, 40), outside: tuple[int, int, int] = (20, 60, 220),
    frame: int = 0, area: int | None = None, camera: Camera | None = None, degrees: float = 0.0,
) -> Sighting:
    """A look at something of one colour before something of another."""
    h, w = mask.shape
    crop = torch.where(mask[..., None], torch.tensor(inside), torch.tensor(outside)).to(torch.uint8)
    angle = np.radians(degrees)
    direction = torch.tensor([np.cos(angle), np.sin(angle), 0.0], dtype=torch.float32)
    return Sighting(
        frame, (0, 0, h, w), 1.0, int(mask.sum()) if area is None else area, crop, mask, direction,
        camera or camera_at((2, 0, 0), (0, 0, 0)),
    )


def square(size: int = 40, margin: int = 10) -> Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def map_of(
    world: BoxWorld, colors: Sequence[str], motion: Tensor | None = None, frames: int = 10,
    center: Sequence[float] = (0, 0, 0.5),
) -> SceneMap:
    """A map made with perfect masks from all around. Instances have the world's truth ids as names.

    Args:
        colors: of each box, by name.
        motion: moves the world with its cameras.
    """
    scene, reconstruct, lift = SceneMap(), Sensor(), Lift()
    known: dict[int, int] = {}
    for n in range(frames):
        angle = 2 * np.pi * n / frames
        eye = (center[0] + 3 * np.cos(angle), center[1] + 3 * np.sin(angle), center[2] + 1.2)
        frame, truth = world.frame(n, world.camera(eye, center, (120, 160)))
        camera = frame.camera
        assert camera is not None
        pose = camera.T_world_cam if motion is None else motion @ camera.T_world_cam
        rgb = torch.zeros(120, 160, 3, dtype=torch.uint8)
        rgb[:] = torch.tensor(COLORS["grey"])
        for i in truth.unique().tolist():
            rgb[truth == i] = torch.tensor(COLORS[colors[i - 1]] if i else COLORS["grey"], dtype=torch.uint8)
        view = reconstruct.view(Frame(n, n / 10, rgb, frame.depth, Camera(camera.K, pose, camera.size)))
        ids = [i for i in truth.unique().tolist() if i]
        said = tuple(str(i) for i in ids)
        segments = lift(view, Masks(torch.stack([truth == i for i in ids]), torch.full((len(ids),), 0.9), names=said))
        ids = [int(i or 0) for i in segments.names or ()]
        matches = Matches(torch.tensor([known.get(i, -1) for i in ids]), torch.ones(len(ids)))
        known.update(zip(ids, scene.add(view, segments, matches).tolist(), strict=True))
    return scene


def place_of(scene: SceneMap, truth: int) -> int:
    """Row of the instance that `map_of` called so."""
    votes = [scene.name_votes[i] for i in scene.ids.tolist()]
    return next(row for row, each in enumerate(votes) if str(truth) in each)


class ColorEncoder:
    """Pictures and phrases as the colours that they show and name."""

    name, scale = "colours", 20.0

    def __init__(self, independent: bool = True) -> None:
        self.independent = independent
        self.bias = -10.0 if independent else 0.0
        self.asked = 0
        """Pictures looked at."""

    def images(self, crops: Sequence[Tensor]) -> Tensor:
        self.asked += len(crops)
        rows = [self._row(color_name(_middle(crop))) for crop in crops]
        return torch.stack(rows) if rows else torch.zeros(0, len(COLORS) + 4)

    def texts(self, phrases: Sequence[str]) -> Tensor:
        return torch.stack([self._row(phrase) for phrase in phrases])

    def _row(self, phrase: str) -> Tensor:
        row = torch.zeros(len(COLORS) + 4)
        words = re.findall(r"\w+", phrase)
        for i, color in enumerate(COLORS):
            row[i] = color in words
        if not row.any():  # of no colour: one of four things that are not alike
            row[len(COLORS) + sum(phrase.encode()) % 4] = 1
        return torch.nn.functional.normalize(row, dim=0)


def _middle(crop: Tensor) -> np.ndarray:
    h, w, _ = crop.shape
    part = crop[h // 3 : max(h - h // 3, h // 3 + 1), w // 3 : max(w - w // 3, w // 3 + 1)]
    pixels: np.ndarray = part.reshape(-1, 3).numpy().astype(np.float64)
    return pixels
