"""Vocabularies by name."""

from __future__ import annotations

from pathlib import Path

from seg3r.datasets import DATASETS
from seg3r.errors import InputError
from seg3r.label.vocabulary import Vocabulary, read_vocabulary
from seg3r.rooms import CLASSES, STRUCTURAL

ROOM_WORDS = Vocabulary(tuple(name for name in CLASSES[1:] if name not in STRUCTURAL))


def vocabulary_named(name: str | Path) -> Vocabulary:
    """`rooms`, the class list of a data set, or a file with one name a line.

    Raises:
        InputError: none of these.
    """
    if name == "rooms":
        return ROOM_WORDS
    if str(name) in DATASETS:
        return Vocabulary(DATASETS[str(name)].protocol.phrases)
    if not Path(name).expanduser().is_file():
        raise InputError(f"vocabulary {str(name)!r}: neither a file nor one of rooms, {', '.join(DATASETS)}")
    return read_vocabulary(Path(name).expanduser())
