"""Labels and answers by the nearest text: best views and words in one space (the CLIP family).

The fallback of OpenTrack3D's table 4: it knows what things look like, and nothing of where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.label.best_views import best_views
from seg3r.label.crops import faded
from seg3r.label.once import Once
from seg3r.label.prompts import bare_name, plain_name
from seg3r.protocols import ImageTextEncoder
from seg3r.scene import SceneMap
from seg3r.types import Answer, Labels

GENERIC = ("object", "thing", "stuff", "texture", "background", "wall", "floor")
"""What an encoder without probabilities of its own must prefer a word to."""
PROMPT = "a photo of {}"
"""How such an encoder (CLIP) wants to be asked."""
UNLIKE = ("chair", "lamp", "book", "window")
"""Words for things that none mistakes for another."""
ASKING = ("what", "where", "how", "who", "it")
"""A question that starts so names no thing that it looks for."""
RELATIONS = (" on ", " in ", " at ", " next to ", " near ", " nearest ", " beside ", " under ", " above ", " behind ")
"""What follows says where the thing is, not what it is."""
VIEWS = 3


class Nearest:
    """SceneMap, words -> the word whose text is nearest to the best views."""

    def __init__(self, encoder: ImageTextEncoder, least: float = 0.2, views: int = VIEWS) -> None:
        """Args:
            least: a lower probability is none of the words.
            views: best views looked at.
        """
        self.encoder, self.least = encoder, least
        self.seen = Once(lambda scene: seen(encoder, scene, views))

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        chances = self.chances(scene, vocabulary)
        if not chances.numel():
            return Labels((None,) * len(scene), torch.zeros(len(scene)))
        best, place = chances.max(dim=1)
        names = tuple(
            vocabulary[int(i)] if float(p) >= self.least else None for p, i in zip(best, place, strict=True)
        )
        return Labels(names, best)

    def chances(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Probability of each word for each instance."""
        return chances(self.encoder, self.seen(scene), vocabulary)


class NearestAnswers:
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
        self.seen = Once(lambda scene: seen(encoder, scene, views))

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        fit = self.fit(scene, question)
        order = [int(i) for i in torch.argsort(-fit, stable=True) if float(fit[i]) >= self.least]
        ids = scene.ids.tolist()
        named = tuple(ids[i] for i in order)
        return Answer(
            question, named, tuple(round(float(fit[i]), 4) for i in order), mask=scene.mask_of(named)
        )

    def fit(self, scene: SceneMap, question: str) -> Float32[Tensor, "k"]:
        """How well the question fits each instance, in 0..1."""
        looks = chances(self.encoder, self.seen(scene), [question])[:, 0]
        names = scene.names
        known = sorted({name for name in names if name is not None})
        asked = head_noun(question, known)
        by_name = {} if asked is None else {asked: 1.0}
        if known and compares_texts(self.encoder):
            vectors = self.encoder.texts([*known, question])
            like = _probability(self.encoder, vectors[:-1] @ vectors[-1]).tolist()
            by_name = dict(zip(known, like, strict=True)) | by_name
        told = torch.tensor([by_name.get(name or "", 0.0) for name in names])
        is_told = torch.tensor([name in by_name for name in names], dtype=torch.bool)
        # In log-odds: a sure no of one is not outvoted by a mild yes of the other.
        both = torch.sigmoid((1 - self.named) * _logit(looks) + self.named * _logit(told))
        return torch.where(is_told, both, looks)


def seen(encoder: ImageTextEncoder, scene: SceneMap, views: int) -> Float32[Tensor, "k d"]:
    """Mean of the vectors of each instance's best views, unit length; zero where it was never seen well."""
    crops, owner = [], []
    for i, instance_id in enumerate(scene.ids.tolist()):
        for look in best_views(scene, instance_id, views):
            crops.append(faded(look))
            owner.append(i)
    vectors = encoder.images(crops).cpu()
    total = torch.zeros(len(scene), vectors.shape[1]).index_add_(0, torch.tensor(owner, dtype=torch.int64), vectors)
    return torch.nn.functional.normalize(total, dim=1)


def chances(
    encoder: ImageTextEncoder, vectors: Float32[Tensor, "k d"], words: Sequence[str]
) -> Float32[Tensor, "k c"]:
    """Probability that each word fits each vector; 0 for a zero vector.

    Independent for encoders trained so (SigLIP); for others (CLIP) a softmax over the words and generic ones.
    """
    if not words:
        return torch.zeros(len(vectors), 0)
    known = vectors.any(dim=1, keepdim=True)
    if encoder.independent:
        return _probability(encoder, vectors @ encoder.texts(words).cpu().T) * known
    asked = [PROMPT.format(word) for word in (*words, *GENERIC)]
    logits = encoder.scale * vectors @ encoder.texts(asked).cpu().T
    return logits.softmax(dim=1)[:, : len(words)] * known


def compares_texts(encoder: ImageTextEncoder) -> bool:
    """Whether it tells apart words for unlike things. Encoders that were trained on pairs of picture and text alone
    hold all texts for much alike: then only what an instance looks like counts."""
    if not encoder.independent:
        return False
    vectors = encoder.texts(UNLIKE)
    fits = _probability(encoder, vectors @ vectors.T)
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


def _probability(encoder: ImageTextEncoder, cosine: Tensor) -> Tensor:
    return torch.sigmoid(encoder.scale * cosine + encoder.bias)


def _logit(p: Tensor) -> Tensor:
    return torch.logit(p.clamp(1e-4, 1 - 1e-4))
