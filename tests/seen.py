"""Looks and maps small enough to reason about, and an encoder that knows nothing but colours."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor

from seg3r.describe.crops import CONTOUR
from seg3r.describe.facts import COLORS, color_name
from seg3r.geometry import look_at
from seg3r.lift import Lift
from seg3r.presets.bundled import Bundled
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.scene.combine import select, union
from seg3r.types import Camera, Frame, Masks, Matches, Prompt, Reply, Sighting
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


# ---- a floor with boxes ----------------------------------------------------------------------------------------------

BOXES_LOW = np.array([[-3, -3, -0.1], [-1.3, -0.3, 0.0], [-0.3, -0.3, 0.0], [0.7, -0.3, 0.0], [-0.3, 0.9, 0.0]])
BOXES_HIGH = np.array([[3, 3, 0.0], [-0.7, 0.3, 0.5], [0.3, 0.3, 0.5], [1.3, 0.3, 0.5], [0.3, 1.5, 0.5]])
BOXES_SHADES = ("grey", "red", "blue", "red", "yellow")
RED, BLUE, ALSO_RED, YELLOW = 2, 3, 4, 5


@cache
def boxes() -> SceneMap:
    """Four boxes on a grey floor, two of them red; not to be changed."""
    return map_of(BoxWorld(BOXES_LOW, BOXES_HIGH), BOXES_SHADES)


def unnamed(scene: SceneMap) -> SceneMap:
    """A copy without the names that came with the masks."""
    scene = scene.copy()
    for i in scene.ids.tolist():
        scene.name_votes.pop(i)
    return scene


def reordered(scene: SceneMap) -> tuple[SceneMap, list[int]]:
    """The same map of four with its instances in another order, and the new row of each."""
    ids = scene.ids.tolist()
    other, renumbered = union(select(scene, ids=ids[2:]), select(scene, ids=ids[:2]))
    moved = [other.ids.tolist().index(renumbered.get(i, i)) for i in ids]
    assert sorted(moved) == list(range(4)) and moved != list(range(4))
    return other, moved


# ---- a table with things on it, and a language model -----------------------------------------------------------------

TABLE_LOW = np.array([[-3, -3, -0.1], [-0.6, -0.4, 0.0], [-0.5, -0.3, 0.7], [0.2, -0.1, 0.7], [1.1, -0.3, 0.0]])
TABLE_HIGH = np.array([[3, 3, 0.0], [0.6, 0.4, 0.7], [-0.1, 0.1, 1.0], [0.4, 0.1, 0.9], [1.5, 0.3, 0.4]])
TABLE_SHADES = ("grey", "green", "red", "blue", "red")
TABLE, BOX, CUP, CRATE = 2, 3, 4, 5


@cache
def laid_table() -> SceneMap:
    """A green table with a red box and a blue cup on it, and a red crate beside it; not to be changed."""
    return map_of(BoxWorld(TABLE_LOW, TABLE_HIGH), TABLE_SHADES)


class Colored:
    """Sees the colour inside the outline; finds words in the prompt."""

    def __init__(self, sure: float | None = 0.8) -> None:
        self.name, self.sure, self.prompts = "colours", sure, []

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        assert prompts
        self.prompts += prompts
        return [Reply(self._say(prompt), self.sure) for prompt in prompts]

    def _say(self, prompt: Prompt) -> str:
        color = color_name(np.concatenate([_inside(image) for image in outlined_of(prompt)]))
        if "Choose from" in prompt.text:
            names = re.findall(r"Choose from: (.*)\. Answer as", prompt.text)[0].split(", ")
            return json.dumps({"name": next((name for name in names if color in name.split()), None)})
        if "Question:" in prompt.text:
            facts, question = re.findall(r"Outlined: (.*) Question: (.*) Is the outlined", prompt.text)[0]
            wanted = re.findall("|".join(COLORS), question)
            place = re.findall(" on the (.*)", question)
            there = not place or facts.split(";")[1].rstrip(".").endswith(f" {place[0]}")
            return f"Well: {json.dumps({'fits': color in wanted and there})}"
        return json.dumps({"color": color, "name": f"{color} thing"})


def outlined_of(prompt: Prompt) -> list[np.ndarray]:
    """The images with an outline."""
    images = [image.numpy() for image in prompt.images]
    return [image for image in images if (image == np.array(CONTOUR)).all(-1).any()]


def _inside(image: np.ndarray) -> np.ndarray:
    """Colours in the middle of what is outlined."""
    line = (image == np.array(CONTOUR)).all(-1)
    assert line.any()
    rows, columns = np.nonzero(line)
    r, c = int(rows.mean()), int(columns.mean())
    middle: np.ndarray = image[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].reshape(-1, 3).astype(np.float64)
    return middle


# ---- a preset of these -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Colours(Bundled):
    """The bundled parts, with an encoder and a language model that know colours."""

    loaded: list[str] = field(default_factory=list)
    """What was asked for, in this order."""
    told: Colored = field(default_factory=Colored)
    """The language model."""

    def image_text(self) -> ColorEncoder:
        self.loaded.append("encoder")
        return ColorEncoder()

    def chat(self) -> Colored:
        self.loaded.append("chat")
        return self.told
