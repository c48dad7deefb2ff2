"""Rooms -> bundled weights: map, look, learn. Every step goes on where an interrupted one stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from seg3r.errors import InputError
from seg3r.rooms import split_seeds
from seg3r.train.clip import train_clip
from seg3r.train.looks import ChatBatches, RegionBatches, SeenRoom, see_rooms
from seg3r.train.maps import map_rooms
from seg3r.train.mllm import train_mllm

Twin = Literal["clip", "mllm"]
FIRST_ROOM = 100
"""The first rooms of the train split fitted the geometric segmenter: its masks there are better than elsewhere."""
STEPS = {"clip": 4200, "mllm": 2400}
Tick = Callable[[str, int, int], None]
"""(what, done, total)."""


def train(
    twin: Twin,
    out: Path,
    steps: int | None = None,
    rooms: int = 210,
    maps: Path = Path("out/maps"),
    seed: int = 0,
    resume: bool = False,
    device: str = "cpu",
    tick: Tick | None = None,
) -> Path:
    """Train a bundled twin on rooms of the train split; returns the folder that its adapter loads.

    Args:
        rooms: how many; each is mapped with true masks, every second one with the geometric segmenter too.
        maps: where mapped rooms are kept; those that are there are not mapped again.

    Raises:
        InputError: `out` holds a run and `resume` is not asked for.
    """
    if not resume and (out / "tokens").exists():
        raise InputError(f"{out}: holds a run; --resume goes on with it")
    count = STEPS[twin] if steps is None else steps
    seen = seen_rooms(rooms, maps, tick)
    data = f"{rooms} rooms of the train split from {FIRST_ROOM}, 60 frames of 320x240, noisy depth"
    command = f"seg3r train {twin} --steps {count} --rooms {rooms} --seed {seed}"
    note = None if tick is None else lambda step, loss: tick(f"{twin} (loss {loss:.3f})", step, count)
    if twin == "clip":
        looks = RegionBatches(seen, seed=seed)
        return train_clip(looks, looks.text_batch, count, out, seed, device, command=command, data=data, progress=note)
    talks = ChatBatches(seen, seed=seed)
    return train_mllm(
        talks.sights, talks.words, talks, count, out, seed, device, command=command, data=data, progress=note
    )


def seen_rooms(rooms: int, maps: Path, tick: Tick | None = None) -> list[SeenRoom]:
    """Rooms of the train split, mapped and cut into looks."""
    seeds = split_seeds("train", rooms, FIRST_ROOM)
    seen = []
    for masks, chosen in (("truth", seeds), ("geometric", seeds[::2])):
        map_rooms(chosen, masks, maps / masks, _named(tick, f"mapping ({masks} masks)"))
        seen += see_rooms(chosen, maps / masks, _named(tick, "looking"))
    return seen


def _named(tick: Tick | None, what: str) -> Callable[[int, int], None] | None:
    return None if tick is None else lambda done, total: tick(what, done, total)
