"""Words that others wrote (files, models, servers), made fit for a map, an encoder and a terminal."""

from __future__ import annotations

import unicodedata

LONGEST_NAME = 200
"""Characters of a name: our decision, several times the longest label of any data set."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what steers and does not show: controls, formats (bidirectional overrides among them), halves
of surrogate pairs, line and paragraph separators."""
_JOINERS = "\u200c\u200d"
"""Formats that words of several scripts, and emoji, are spelt with."""


def clean_name(text: str) -> str | None:
    """A name as it enters from a file or a model: one line that shows as it is, at most `LONGEST_NAME` characters.

    Returns:
        None where nothing is left.
    """
    shown = []
    for character in well_formed(text[: 8 * LONGEST_NAME]):
        if not _is_unseen(character):
            shown.append(character)
        elif unicodedata.category(character) != "Cf":
            shown.append(" ")
    return " ".join("".join(shown).split())[:LONGEST_NAME].rstrip() or None


def printable(text: str) -> str:
    r"""One line that does to a terminal what it shows: what steers is spelt out (`\x1b`, `\n`, `\u202e`)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode("ascii") if _is_unseen(c) else c for c in text)


def well_formed(text: str) -> str:
    """Text that every encoder takes: surrogate pairs are joined, half a pair becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS
