"""Names of a labeler into a map."""

from __future__ import annotations

from seg3r.label.vocabulary import Vocabulary
from seg3r.protocols import Labeler
from seg3r.scene import SceneMap
from seg3r.types import Labels


def label_map(scene: SceneMap, labeler: Labeler, vocabulary: Vocabulary | None) -> Labels:
    """Name every instance of a finished map; the names take the place of what was voted on the way.

    Args:
        vocabulary: None = words of the labeler's own.
    """
    labels = labeler(scene, () if vocabulary is None else vocabulary.words)
    if vocabulary is not None:
        labels = vocabulary.named(labels)
    for instance_id, name, score in zip(scene.ids.tolist(), labels.names, labels.scores.tolist(), strict=True):
        if name is None:
            scene.name_votes.pop(instance_id, None)
        else:
            scene.name_votes[instance_id] = {name: round(float(score), 4)}
    return labels
