"""Labels by the nearest text: best views and words in one space (the CLIP family).

The fallback of OpenTrack3D's table 4: it knows what things look like, and nothing of where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from seg3r.describe.best_views import best_views
from seg3r.describe.crops import faded
from seg3r.describe.once import Once
from seg3r.protocols import ImageTextEncoder
from seg3r.scene import SceneMap
from seg3r.types import Labels

GENERIC = ("object", "thing", "stuff", "texture", "background", "wall", "floor")
"""What an encoder without probabilities of its own must prefer a word to."""
PROMPT = "a photo of {}"
"""How such an encoder (CLIP) wants to be asked."""
VIEWS = 3


class Nearest:
    """SceneMap, words -> the word whose text is nearest to the best views."""

    def __init__(self, encoder: ImageTextEncoder, least: float = 0.2, views: int = VIEWS) -> None:
        """Args:
            least: a lower probability is none of the words.
            views: best views looked at.
        """
        self.encoder, self.least = encoder, least
        self.vectors = Once(lambda scene: view_vectors(encoder, scene, views))

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        probabilities = self.probabilities(scene, vocabulary)
        if not probabilities.numel():
            return Labels((None,) * len(scene), torch.zeros(len(scene)))
        best, place = probabilities.max(dim=1)
        names = tuple(
            vocabulary[int(i)] if float(p) >= self.least else None for p, i in zip(best, place, strict=True)
        )
        return Labels(names, best)

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Probability of each word for each instance."""
        return word_probabilities(self.encoder, self.vectors(scene), vocabulary)


def view_vectors(encoder: ImageTextEncoder, scene: SceneMap, views: int) -> Float32[Tensor, "k d"]:
    """Mean of the vectors of each instance's best views, unit length; zero where it was never seen well."""
    crops, owner = [], []
    for i, instance_id in enumerate(scene.ids.tolist()):
        for look in best_views(scene, instance_id, views):
            crops.append(faded(look))
            owner.append(i)
    vectors = encoder.images(crops).cpu()
    total = torch.zeros(len(scene), vectors.shape[1]).index_add_(0, torch.tensor(owner, dtype=torch.int64), vectors)
    return torch.nn.functional.normalize(total, dim=1)


def word_probabilities(
    encoder: ImageTextEncoder, vectors: Float32[Tensor, "k d"], words: Sequence[str]
) -> Float32[Tensor, "k c"]:
    """Probability that each word fits each vector; 0 for a zero vector.

    Independent for encoders trained so (SigLIP); for others (CLIP) a softmax over the words and generic ones.
    """
    if not words:
        return torch.zeros(len(vectors), 0)
    known = vectors.any(dim=1, keepdim=True)
    if encoder.independent:
        return pair_probability(encoder, vectors @ encoder.texts(words).cpu().T) * known
    asked = [PROMPT.format(word) for word in (*words, *GENERIC)]
    logits = encoder.scale * vectors @ encoder.texts(asked).cpu().T
    return logits.softmax(dim=1)[:, : len(words)] * known


def pair_probability(encoder: ImageTextEncoder, cosine: Tensor) -> Tensor:
    """That the two of a pair fit, by their cosine (encoders with probabilities of their own)."""
    return torch.sigmoid(encoder.scale * cosine + encoder.bias)
