"""Names of a labeler into a map."""

from __future__ import annotations

from seg3r.label.vocabulary import Vocabulary
from seg3r.protocols import Labeler
from seg3r.scene import SceneMap
from seg3r.types import Labels


def label_map(scene: SceneMap, labeler: Labeler, vocabulary: Vocabulary | None) -> Labels:
    """Name every instance of a finished map. What its segments were called stays beside the labels, for the next.

    Args:
        vocabulary: None = words of the labeler's own.
    """
    labels = labeler(scene, () if vocabulary is None else vocabulary.words)
    if vocabulary is not None:
        labels = vocabulary.named(labels)
    scene.set_labels(labels)
    return labels
