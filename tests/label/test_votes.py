"""Names beside the masks, summed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from seg3r.label.votes import Votes, VotesElse
from seg3r.protocols import Labeler
from seg3r.scene import SceneMap
from seg3r.types import Labels
from tests.maps import table_map

VOTES = [{"couch": 1.0, "Sofas": 2.0, "the sofa": 1.5}, {"lamp": 3.0}, {}, {"book": 1.0, "books": 1.0}]


def voted() -> SceneMap:
    scene = table_map()
    for i, votes in zip(scene.ids.tolist(), VOTES, strict=True):
        scene.name_votes[i] = dict(votes)
    return scene


def test_votes_for_words_of_the_list_are_summed() -> None:
    labels = Votes()(voted(), ("lamp", "sofa", "books"))
    assert labels.names == ("sofa", "lamp", None, "books")
    assert labels.scores.tolist() == pytest.approx([3.5 / 4.5, 1.0, 0.0, 1.0])


def test_votes_for_other_words_take_their_share_and_never_win() -> None:
    labels = Votes()(voted(), ("couch", "book"))
    assert labels.names == ("couch", None, None, "book")
    assert labels.scores.tolist() == pytest.approx([1 / 4.5, 0.0, 0.0, 1.0])


def test_without_a_list_every_name_may_win_and_a_tie_is_settled_by_the_alphabet() -> None:
    scene = voted()
    assert list(scene.names) == ["Sofas", "lamp", None, "book"]
    scene.name_votes.pop(int(scene.ids[1]))
    assert list(scene.names) == ["Sofas", None, None, "book"]


def test_no_instances() -> None:
    scene = table_map()
    scene.drop(scene.ids.tolist())
    labels = Votes()(scene, ("lamp",))
    assert labels.names == () and labels.scores.shape == (0,)


def test_votes_as_probabilities_agree_with_the_votes() -> None:
    scene = table_map()
    ids = scene.ids.tolist()
    scene.name_votes.update({
        ids[0]: {"sofa": 2.0, "the Sofas": 1.0, "lamp": 1.0}, ids[1]: {"lamp": 3.0, "elephant": 1.0}, ids[2]: {},
    })
    scene.name_votes.pop(ids[3])
    words = ("lamp", "sofa", "chair")
    table, labels = Votes().probabilities(scene, words), Votes()(scene, words)
    assert table.tolist() == [[0.25, 0.75, 0.0], [0.75, 0.0, 0.0], [0.0] * 3, [0.0] * 3]
    assert torch.equal(table.max(1).values, labels.scores)
    assert labels.names == ("sofa", "lamp", None, None)


class AllLamps:
    """A labeler that sees lamps everywhere."""

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        return Labels(("lamp",) * len(scene), torch.ones(len(scene)))

    def probabilities(self, scene: SceneMap, vocabulary: Sequence[str]) -> torch.Tensor:
        return torch.ones(len(scene), len(vocabulary))


def test_where_a_map_has_no_votes_another_is_asked_and_made_once() -> None:
    """Masks may come without names: that is seen when the map is there."""
    made: list[Labeler] = []

    def make() -> Labeler:
        made.append(AllLamps())
        return made[-1]

    labeler, scene, words = VotesElse(make), voted(), ("lamp", "sofa")
    assert isinstance(labeler, Labeler)
    assert labeler(scene, words).names == Votes()(scene, words).names
    assert torch.equal(labeler.probabilities(scene, words), Votes().probabilities(scene, words))
    assert not made, "nothing is loaded that is not needed"
    for i in scene.ids.tolist():
        scene.name_votes[i] = {}
    assert labeler(scene, words).names == ("lamp",) * 4
    assert torch.equal(labeler.probabilities(scene, words), torch.ones(4, 2))
    assert len(made) == 1
