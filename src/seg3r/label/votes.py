"""Names that came with the masks, voted over views."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seg3r.label.prompts import same_name
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
