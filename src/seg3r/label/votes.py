"""Names that came with the masks, voted over views."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.label.prompts import same_name
from seg3r.protocols import Labeler
from seg3r.scene import SceneMap
from seg3r.scene.names import most_votes
from seg3r.types import Labels


class Votes:
    """SceneMap, words -> the word with most votes, and its share of all votes.

    A detector's label flickers from view to view; its sum over views is steady.
    """

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        """With an empty vocabulary every name that was voted for may win."""
        names: list[str | None] = []
        shares = []
        for instance_id in scene.ids.tolist():
            votes: dict[str, float] = {}
            for name, vote in scene.name_votes.get(instance_id, {}).items():
                word = same_name(name, vocabulary) if vocabulary else name
                if word is not None:
                    votes[word] = votes.get(word, 0.0) + vote
            best = most_votes(votes)
            total = sum(scene.name_votes.get(instance_id, {}).values())
            names.append(best)
            shares.append(votes[best] / total if best is not None and total > 0 else 0.0)
        return Labels(tuple(names), torch.tensor(shares, dtype=torch.float32))

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Share of the votes of each word."""
        place = {word: i for i, word in enumerate(vocabulary)}
        table = torch.zeros(len(scene), len(vocabulary))
        for row, instance_id in enumerate(scene.ids.tolist()):
            votes = scene.name_votes.get(instance_id, {})
            for name, vote in votes.items():
                if (word := same_name(name, vocabulary)) is not None:
                    table[row, place[word]] += vote / max(sum(votes.values()), 1e-9)
        return table


class VotesElse:
    """The names that came with the masks or, where a map has none, another labeler."""

    def __init__(self, other: Callable[[], Labeler]) -> None:
        """Args:
        other: makes the other one when it is first needed: its weights may be large.
        """
        self._make = other
        self._other: Labeler | None = None

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        return self._chosen(scene)(scene, vocabulary)

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Of the one that is asked."""
        return self._chosen(scene).probabilities(scene, vocabulary)

    def _chosen(self, scene: SceneMap) -> Labeler:
        if any(scene.name_votes.values()):
            return Votes()
        if self._other is None:
            self._other = self._make()
        return self._other
