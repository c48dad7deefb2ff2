"""Names beside the masks, summed."""

from __future__ import annotations

import pytest

from seg3r.label.votes import Votes
from tests.maps import table_map

VOTES = [{"couch": 1.0, "Sofas": 2.0, "the sofa": 1.5}, {"lamp": 3.0}, {}, {"book": 1.0, "books": 1.0}]


def voted() -> object:
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
