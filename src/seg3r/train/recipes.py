"""The numbers of each training, apart from what learns: this file is light, and the command line makes flags of it.

Defaults are those of the weights that come with the package; tests/train/test_recipes.py holds them against the cards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from seg3r.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """What every training has.

    Raises:
        InputError: a number with which nothing can be learnt.
    """

    rooms: int
    """Rooms of the train split to learn from; mapping or rendering them is the first step."""
    seed: int
    """Of weights and samples."""
    peak: float
    """Learning rate at its highest."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, name = getattr(self, field.name), field.name
            least = 0 if name == "seed" or "warmup" in name else 1
            if isinstance(value, int) and value < least:
                raise InputError(f"{name}: {value}; counted from {least}")
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}: {value}; a number from 0 on")
        if self.peak == 0:
            raise InputError("peak: 0; a learning rate is more than 0")


@dataclass(frozen=True)
class ClipRecipe(Recipe):
    """Of the bundled SigLIP."""

    steps: int = 4200
    """Steps in all."""
    rooms: int = 210
    """Rooms of the train split to learn from; mapping them is the first step."""
    seed: int = 0
    """Of weights and samples."""
    peak: float = 1e-3
    """Learning rate at its highest."""
    warmup: int = 500
    """Steps until the learning rate is at its highest."""
    text_weight: float = 0.3
    """Weight, in the loss, of pairs of phrases."""


@dataclass(frozen=True)
class MllmRecipe(Recipe):
    """Of the bundled Qwen2.5-VL."""

    eye_steps: int = 3000
    """Steps of its eyes, first."""
    word_steps: int = 1000
    """Steps on questions without pictures, then."""
    steps: int = 3030
    """Steps of the whole, last."""
    rooms: int = 210
    """Rooms of the train split to learn from; mapping them is the first step."""
    seed: int = 0
    """Of weights and samples."""
    peak: float = 1e-3
    """Learning rate at its highest."""
    warmup: int = 500
    """Steps, of each stage, until the learning rate is at its highest."""


@dataclass(frozen=True)
class Cut3rRecipe(Recipe):
    """Of the bundled CUT3R."""

    depth_steps: int = 7000
    """Steps on single frames: they are cheap, and motion is soon learnt by what sees depth."""
    clip_steps: int = 800
    """Steps on clips, then."""
    rooms: int = 700
    """Rooms of the train split to learn from; rendering walks through them is the first step."""
    seed: int = 0
    """Of weights and samples."""
    peak: float = 6e-4
    """Learning rate for depth at its highest; clips learn at half of it."""
    depth_warmup: int = 300
    """Steps on single frames until the learning rate is at its highest."""
    clip_warmup: int = 200
    """The same, of those on clips."""

    def of_steps(self, steps: int) -> Cut3rRecipe:
        """The same with so many steps in all, shared out as they are here.

        Raises:
            InputError: too few for both.
        """
        depth = round(steps * self.depth_steps / (self.depth_steps + self.clip_steps))
        if not 0 < depth < steps:
            raise InputError(f"steps: {steps}; too few for both single frames and clips")
        return replace(self, depth_steps=depth, clip_steps=steps - depth)


@dataclass(frozen=True)
class QueryRefinerRecipe(Recipe):
    """Of the bundled query refiner."""

    steps: int = 1400
    """Steps in all, a clip each."""
    rooms: int = 700
    """Rooms of the train split to learn from; rendering walks through them is the first step."""
    clips: int = 180
    """Clips of these walks."""
    clip_length: int = 8
    """Frames of a clip of a walk."""
    video_clip_length: int = 16
    """Frames of a clip of a video (the paper's)."""
    seed: int = 0
    """Of weights and samples."""
    peak: float = 1e-3
    """Learning rate at its highest; the paper has 1e-4 for batches of four clips."""
    warmup: int = 500
    """Steps until the learning rate is at its highest."""
    drop_tokens: float = 0.1
    """Share of clips whose tokens are hidden, so that features learn to do without."""
    distil: float = 0.1
    """Weight of the distillation loss L_dist (the paper's); 0 switches it off."""
    cross: float = 0.5
    """Weight of the loss between frames L_xseg (the paper's)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("clip_length", "video_clip_length"):
            if getattr(self, name) < 2:
                raise InputError(f"{name}: {getattr(self, name)}; a clip has two frames at least")
