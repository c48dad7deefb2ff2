"""What can go wrong for a reason the user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message says what was wrong, where, and what to do, in one line."""


class MissingExtraError(ImportError):
    """A stage needs an optional dependency: the message names the extra to install."""
