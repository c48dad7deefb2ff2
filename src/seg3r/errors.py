"""What can go wrong for a reason the user can mend."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message says what was wrong, where, and what to do, in one line."""


class MissingExtraError(ImportError):
    """A stage needs an optional dependency: the message names the extra to install."""


def check_choice(argument: str, word: object, words: Iterable[str]) -> None:
    """Raise InputError unless `word` is one of `words`, naming all of them: what a `Literal` promises, at the door."""
    if word not in (known := tuple(words)):
        raise InputError(f"{argument}: {word!r} is none of {', '.join(known)}")
