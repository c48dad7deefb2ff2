"""What an instance is called: one rule, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping


def most_votes(votes: Mapping[str, float]) -> str | None:
    """The name with most votes, between equals the first by the alphabet; None without any."""
    return min(votes, key=lambda name: (-votes[name], name)) if votes else None


def instance_name(label: tuple[str | None, float] | None, votes: Mapping[str, float]) -> str | None:
    """The label where a labeler gave one (None: it says that no word fits), else what most segments were called."""
    return most_votes(votes) if label is None else label[0]
