"""What naming does to a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from seg3r.label.label_map import label_map
from seg3r.label.nearest import Nearest
from seg3r.label.vocabulary import Vocabulary
from seg3r.label.votes import Votes
from seg3r.scene import SceneMap
from seg3r.types import Labels
from tests.maps import table_map
from tests.seen import BLUE, RED, YELLOW, ColorEncoder, boxes, place_of


class Says:
    """A labeler with fixed answers."""

    def __init__(self, names: Sequence[str | None], scores: Sequence[float]) -> None:
        self.labels, self.asked = Labels(tuple(names), torch.tensor(scores)), None

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        self.asked = tuple(vocabulary)
        return self.labels

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(scene), len(vocabulary))


def test_labels_stand_beside_the_votes() -> None:
    scene = table_map()
    ids, votes = scene.ids.tolist(), {i: dict(v) for i, v in scene.name_votes.items()}
    labeler = Says(("couch", None, "lamp", "sofa"), (0.9, 0.8, 0.123456, 0.0))
    words = Vocabulary(("sofa", "lamp"), (("couch",), ()))
    labels = label_map(scene, labeler, words)
    assert labeler.asked == ("sofa", "lamp", "couch")
    assert labels.names == ("sofa", None, "lamp", "sofa") and torch.equal(labels.scores, labeler.labels.scores)
    assert list(scene.names) == ["sofa", None, "lamp", "sofa"]
    assert [scene.name_labels[i][1] for i in ids] == labels.scores.tolist()
    assert scene.name_votes == votes != {}
    again = label_map(scene, Votes(), None)  # by the votes, which the first labelling did not touch
    assert list(again.names) == [next(iter(votes[i])) for i in ids] == list(scene.names)


def test_without_a_vocabulary_the_words_are_the_labelers_own() -> None:
    scene = table_map()
    labeler = Says(("Louis XV chair", None, "thing", "x"), (1.0, 0.0, 0.5, 0.5))
    assert label_map(scene, labeler, None).names == ("Louis XV chair", None, "thing", "x")
    assert labeler.asked == () and list(scene.names) == ["Louis XV chair", None, "thing", "x"]


def test_labels_survive_on_disk(tmp_path: Path) -> None:
    scene = table_map()
    label_map(scene, Says(("sofa", None, "lamp", "sofa"), (0.9, 0.8, 0.7, 0.6)), None)
    scene.save(tmp_path / "scene.safetensors")
    again = SceneMap.load(tmp_path / "scene.safetensors")
    assert again.name_votes == scene.name_votes and again.name_labels == scene.name_labels
    assert again.names == scene.names == ("sofa", None, "lamp", "sofa")


def test_looks_name_a_map() -> None:
    scene = boxes().copy()
    rows = [place_of(scene, truth) for truth in (RED, BLUE, YELLOW)]
    label_map(scene, Nearest(ColorEncoder(), least=0.5), Vocabulary(("red box", "blue box")))
    names = scene.names
    assert [names[row] for row in rows] == ["red box", "blue box", None]
