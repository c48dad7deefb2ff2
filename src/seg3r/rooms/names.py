"""What things are called: classes, colours, and the seeds of each split."""

from __future__ import annotations

from seg3r.errors import InputError

STRUCTURAL: tuple[str, ...] = ("wall", "floor", "ceiling")
"""Classes that are no instances."""

CLASSES: tuple[str, ...] = (
    "unlabelled", *STRUCTURAL,
    "door", "window", "picture", "poster", "clock", "radiator", "ceiling lamp", "rug",
    "chair", "armchair", "stool", "sofa", "table", "coffee table", "desk", "bed", "nightstand", "wardrobe", "bookshelf",
    "cabinet", "television", "floor lamp", "plant", "bin", "basket", "ball", "box",
    "monitor", "keyboard", "laptop", "desk lamp", "mug", "bowl", "bottle", "vase", "book", "cushion", "teddy bear",
)
"""The index is the class id."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (190, 42, 40), "orange": (226, 122, 40), "yellow": (232, 196, 60), "green": (62, 140, 70),
    "teal": (30, 130, 135), "blue": (45, 85, 175), "purple": (112, 62, 150), "pink": (226, 130, 160),
    "white": (235, 234, 230), "grey": (130, 132, 136), "black": (38, 38, 42), "brown": (120, 78, 48),
    "beige": (212, 190, 155),
}
"""sRGB."""

_SPLITS = {"train": 0, "val": 100_000, "test": 200_000}
_SPLIT_SEEDS = 100_000


def class_id(name: str) -> int:
    """Place in `CLASSES`."""
    return CLASSES.index(name)


def split_seeds(split: str, count: int) -> list[int]:
    """The first `count` seeds of a split; splits share none.

    Raises:
        InputError: unknown split, or more seeds than it has.
    """
    if split not in _SPLITS:
        raise InputError(f"no split {split!r}; there are: {', '.join(_SPLITS)}")
    if not 0 <= count <= _SPLIT_SEEDS:
        raise InputError(f"{count} rooms of split {split}: it has {_SPLIT_SEEDS}")
    return list(range(_SPLITS[split], _SPLITS[split] + count))
