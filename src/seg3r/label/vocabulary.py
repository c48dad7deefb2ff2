"""Words a map may be labelled with: names, each with its synonyms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from seg3r.errors import InputError
from seg3r.label.prompts import bare_name, same_name
from seg3r.reading import reading
from seg3r.text import clean_name
from seg3r.types import Labels


@dataclass(frozen=True)
class Vocabulary:
    """Names in order, and further words for them. Labelers are asked for all words; an answer counts for its name."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...] = ()
    """Of each name; empty = none has any."""

    def __post_init__(self) -> None:
        if self.synonyms and len(self.synonyms) != len(self.names):
            raise InputError(f"vocabulary: {len(self.synonyms)} lists of synonyms for {len(self.names)} names")
        bare = [bare_name(word) for word in self.words]
        twice = sorted({word for word in bare if bare.count(word) > 1})
        if twice:
            raise InputError(f"vocabulary: {twice[0]!r} stands in it twice")

    @property
    def words(self) -> tuple[str, ...]:
        """Every name, then every synonym."""
        return (*self.names, *(word for words in self.synonyms for word in words))

    def name_of(self, word: str | None) -> str | None:
        """The name that a word stands for; None for a word that is not in the vocabulary."""
        found = None if word is None else same_name(word, self.words)
        if found is None or found in self.names:
            return found
        return next(name for name, words in zip(self.names, self.synonyms, strict=True) if found in words)

    def named(self, labels: Labels) -> Labels:
        """The same labels under their names."""
        return Labels(tuple(self.name_of(word) for word in labels.names), labels.scores)


def read_vocabulary(path: Path) -> Vocabulary:
    """One name a line, synonyms after commas or tabs; empty lines and those that begin with # are skipped.

    Raises:
        InputError: no such file, no name in it, or a word twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such word list")
    with reading(path, "a text file"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    rows = [[name for word in re.split("[,\t]", line) if (name := clean_name(word))] for line in lines]
    rows = [row for row in rows if row]
    if not rows:
        raise InputError(f"{path}: no words in it; write one name a line, synonyms after commas")
    try:
        return Vocabulary(tuple(row[0] for row in rows), tuple(tuple(row[1:]) for row in rows))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
