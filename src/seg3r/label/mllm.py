"""Labels by a multi-modal language model that sees the outlined best views and reads the facts of the map
(OpenTrack3D, its stage after proposals)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.describe.best_views import best_views
from seg3r.describe.crops import contoured, plain
from seg3r.describe.once import Once
from seg3r.label import prompts
from seg3r.label.nearest import Nearest
from seg3r.label.prompts import Image
from seg3r.protocols import Chat, ImageTextEncoder
from seg3r.scene import SceneMap
from seg3r.types import Labels, Prompt, Reply

VIEWS = 3
"""K: the paper's number."""
MOST_CHOICES = 20
"""A longer list is shortened first (docs/opentrack3d.md, D-14)."""
SILENCE = Reply("", 0.0)
"""Said of what was never seen well, or of an empty list."""


class Shown(NamedTuple):
    """What the model sees of an instance."""

    outlined: list[Image]
    """Its best views, with its outline drawn; none: it was never seen well."""
    plain: list[Image]
    """The same views as they were, or none."""


class Mllm:
    """SceneMap, words -> the word that the model chooses; none of these is an answer. Without words: its own."""

    def __init__(
        self, chat: Chat, shortlist: ImageTextEncoder | None = None, views: int = VIEWS, plain_too: bool = False
    ) -> None:
        """Args:
            shortlist: shortens long lists; without it the model itself chooses in rounds.
            views: best views shown.
            plain_too: once more without the outline (docs/opentrack3d.md, 3.10). Not for the bundled model, which never
                saw such prompts.
        """
        self.chat = chat
        self.nearest = None if shortlist is None else Nearest(shortlist, views=views)
        self.shown = Once(lambda scene: shown(scene, views, plain_too))

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        images = self.shown(scene)
        if not vocabulary:
            replies = put(self.chat, [
                prompts.describing_prompt(each.outlined, each.plain) if each.outlined else None for each in images
            ])
            return _labels([prompts.read_description(r.text) for r in replies], replies)
        lists = self._lists(scene, images, vocabulary)
        replies = self._choose(images, lists)
        return _labels(
            [prompts.read_name(r.text, words) for r, words in zip(replies, lists, strict=True)], replies
        )

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Probability of each word: the model's choice with its confidence, the rest shared out by the encoder."""
        labels = self(scene, vocabulary)
        rest = torch.full((len(scene), len(vocabulary)), 1.0 / max(1, len(vocabulary)))
        if self.nearest is not None:
            rest = self.nearest.probabilities(scene, vocabulary)
            rest = rest / rest.sum(dim=1, keepdim=True).clamp_min(1e-6)
        for row, (name, score) in enumerate(zip(labels.names, labels.scores.tolist(), strict=True)):
            rest[row] *= 1 - score
            if name is not None:
                rest[row, list(vocabulary).index(name)] = score
        return rest

    def _lists(
        self, scene: SceneMap, images: Sequence[Shown], vocabulary: Sequence[str]
    ) -> list[list[str]]:
        """For each instance at most `MOST_CHOICES` words: what the masks were called, then what it looks like."""
        words = list(vocabulary)
        if len(words) <= MOST_CHOICES:
            return [words] * len(scene)
        if self.nearest is None:
            return self._rounds(images, [words] * len(images))
        probabilities = self.nearest.probabilities(scene, words)
        lists = []
        for row, instance_id in enumerate(scene.ids.tolist()):
            voted = {prompts.same_name(name, words) for name in scene.name_votes.get(instance_id, {})}
            ranked = torch.argsort(-probabilities[row], stable=True).tolist()
            first = [i for i in ranked if words[i] in voted]
            chosen = (first + [i for i in ranked if i not in first])[:MOST_CHOICES]
            lists.append([words[i] for i in sorted(chosen)])
        return lists

    def _rounds(self, images: Sequence[Shown], lists: list[list[str]]) -> list[list[str]]:
        """The winners of each part of a list that is too long, until none is."""
        while any(len(words) > MOST_CHOICES for words in lists):
            parts = [
                (row, words[i : i + MOST_CHOICES]) for row, words in enumerate(lists) if len(words) > MOST_CHOICES
                for i in range(0, len(words), MOST_CHOICES)
            ]
            replies = self._choose([images[row] for row, _ in parts], [part for _, part in parts])
            won: dict[int, list[str]] = {row: [] for row, _ in parts}
            for (row, part), reply in zip(parts, replies, strict=True):
                name = prompts.read_name(reply.text, part)
                won[row] += [] if name is None else [name]
            lists = [won.get(row, words) for row, words in enumerate(lists)]
        return lists

    def _choose(self, images: Sequence[Shown], lists: Sequence[Sequence[str]]) -> list[Reply]:
        return put(self.chat, [
            prompts.naming_prompt(each.outlined, words, each.plain) if each.outlined and words else None
            for each, words in zip(images, lists, strict=True)
        ])


def shown(scene: SceneMap, views: int, plain_too: bool) -> list[Shown]:
    """The best views of each instance."""
    looks = [best_views(scene, i, views) for i in scene.ids.tolist()]
    return [Shown([contoured(x) for x in each], [plain(x) for x in each] if plain_too else []) for each in looks]


def put(chat: Chat, asked: Sequence[Prompt | None]) -> list[Reply]:
    """Replies in the order of the prompts; where there is none the model is not asked."""
    there = [prompt for prompt in asked if prompt is not None]
    replies = iter(chat(there) if there else ())
    return [SILENCE if prompt is None else next(replies) for prompt in asked]


def _labels(names: Sequence[str | None], replies: Sequence[Reply]) -> Labels:
    sure = [1.0 if r.confidence is None else r.confidence for r in replies]
    return Labels(tuple(names), torch.tensor(sure, dtype=torch.float32))
