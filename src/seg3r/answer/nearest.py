"""Answers by the nearest text: what things look like and are called; nothing of where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.describe.once import Once
from seg3r.label.nearest import VIEWS, pair_probability, view_vectors, word_probabilities
from seg3r.label.prompts import bare_name, plain_name
from seg3r.protocols import ImageTextEncoder
from seg3r.scene import SceneMap
from seg3r.types import Answer

UNLIKE = ("chair", "lamp", "book", "window")
"""Words for things that none mistakes for another."""
ASKING = ("what", "where", "how", "who", "it")
"""A question that starts so names no thing that it looks for."""
RELATIONS = (" on ", " in ", " at ", " next to ", " near ", " nearest ", " beside ", " under ", " above ", " behind ")
"""What follows says where the thing is, not what it is."""


class NearestAnswerer:
    """SceneMap, question -> the instances that the question's text fits, best first."""

    def __init__(
        self, encoder: ImageTextEncoder, least: float = 0.5, named: float = 0.5, views: int = VIEWS
    ) -> None:
        """Args:
            least: a lower probability is no answer.
            named: weight of what an instance is called, where it has a name, beside what it looks like.
            views: best views looked at.
        """
        self.encoder, self.least, self.named = encoder, least, named
        self.vectors = Once(lambda scene: view_vectors(encoder, scene, views))

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        fit = self.fit(scene, question)
        order = [int(i) for i in torch.argsort(-fit, stable=True) if float(fit[i]) >= self.least]
        ids = scene.ids.tolist()
        named = tuple(ids[i] for i in order)
        return Answer(question, named, tuple(round(float(fit[i]), 4) for i in order), mask=scene.mask_of(named))

    def fit(self, scene: SceneMap, question: str) -> Float32[Tensor, "k"]:
        """How well the question fits each instance, in 0..1."""
        looks = word_probabilities(self.encoder, self.vectors(scene), [question])[:, 0]
        names = scene.names
        known = sorted({name for name in names if name is not None})
        asked = head_noun(question, known)
        by_name = {} if asked is None else {asked: 1.0}
        if known and compares_texts(self.encoder):
            vectors = self.encoder.texts([*known, question])
            like = pair_probability(self.encoder, vectors[:-1] @ vectors[-1]).tolist()
            by_name = dict(zip(known, like, strict=True)) | by_name
        naming = torch.tensor([by_name.get(name or "", 0.0) for name in names])
        is_told = torch.tensor([name in by_name for name in names], dtype=torch.bool)
        # In log-odds: a sure no of one is not outvoted by a mild yes of the other.
        both = torch.sigmoid((1 - self.named) * _logit(looks) + self.named * _logit(naming))
        return torch.where(is_told, both, looks)


def compares_texts(encoder: ImageTextEncoder) -> bool:
    """Whether it tells apart words for unlike things. Encoders that were trained on pairs of picture and text alone
    hold all texts for much alike: then only what an instance looks like counts."""
    if not encoder.independent:
        return False
    vectors = encoder.texts(UNLIKE)
    fits = pair_probability(encoder, vectors @ vectors.T)
    return bool((fits.sum() - fits.trace()) / (len(UNLIKE) * (len(UNLIKE) - 1)) < 0.5)


def head_noun(question: str, names: Sequence[str]) -> str | None:
    """The one of these names that a question looks for: in `the cup on the table` it is the cup, in `everything on
    the table` and in `What is on the table?` there is none."""
    words = question.lower().split()
    if words[:1] and words[0] in ASKING and words[:2] not in (["where", "is"], ["where", "are"]):
        return None
    for alike in (bare_name, plain_name):
        padded = " " + " ".join(alike(word) for word in words) + " "
        padded = padded[: min((at for word in RELATIONS if (at := padded.find(word)) >= 0), default=len(padded)) + 1]
        found = [(padded.find(f" {alike(name)} "), -len(name), name) for name in names]
        if any(at >= 0 for at, _, _ in found):
            return min(each for each in found if each[0] >= 0)[2]
    return None


def _logit(p: Tensor) -> Tensor:
    return torch.logit(p.clamp(1e-4, 1 - 1e-4))
