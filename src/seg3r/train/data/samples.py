"""Samples of the trainings: who makes them (see `room_views`) and who learns from them need not know one another."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from seg3r.types import Prompt, TensorFields


@dataclass(frozen=True, eq=False)
class RegionSample(TensorFields):
    """One view of a thing, and phrases true and false of it."""

    image: UInt8[Tensor, "h w 3"]
    """A crop; its background faded."""
    true: tuple[str, ...]
    """Phrases that fit."""
    false: tuple[str, ...]
    """Phrases that do not. What is in neither is unknown."""


@dataclass(frozen=True, eq=False)
class WordSample(TensorFields):
    """A picture and the words for what it shows, before there are questions."""

    image: UInt8[Tensor, "h w 3"]
    words: tuple[str, ...]
    """One of each kind, such as colour and name."""


@dataclass(frozen=True, eq=False)
class ChatSample:
    """A question about images, and the answer to learn."""

    prompt: Prompt
    answer: str
