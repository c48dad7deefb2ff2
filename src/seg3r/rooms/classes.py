"""What a room may hold: ONE list of classes, and which seeds belong to which split."""

from __future__ import annotations

from seg3r.errors import InputError

STRUCTURAL = ("wall", "floor", "ceiling")
"""Classes without instances: pixels and points of these have instance id 0."""

CLASSES = (
    "none", *STRUCTURAL, "door", "window", "curtain", "chair", "office chair", "armchair", "stool", "sofa", "bed",
    "table", "desk", "coffee table", "nightstand", "bookshelf", "cabinet", "wardrobe", "dresser", "tv stand", "lamp",
    "plant", "monitor", "laptop", "keyboard", "television", "cup", "bowl", "bottle", "book", "books", "box", "bin",
    "basket", "vase", "cushion", "rug", "picture", "poster", "clock", "bag", "ball", "toy car",
)
"""A class's id is its place in this list; 0 is no class."""

CLASS_IDS = {name: i for i, name in enumerate(CLASSES)}

SPLITS = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""First seed of each split; a split reaches up to the next."""
SPLIT_SEEDS = 1_000_000


def split_seeds(split: str, count: int, start: int = 0) -> list[int]:
    """`count` seeds of a split (train, val or test) from its `start`-th on. Splits are disjoint.

    Raises:
        InputError: no such split, or more seeds than it has.
    """
    if split not in SPLITS:
        raise InputError(f"no split {split!r}; there are: {', '.join(SPLITS)}")
    if start < 0 or count < 0 or start + count > SPLIT_SEEDS:
        raise InputError(f"split {split}: seeds {start}..{start + count} asked for, it has {SPLIT_SEEDS}")
    return list(range(SPLITS[split] + start, SPLITS[split] + start + count))
