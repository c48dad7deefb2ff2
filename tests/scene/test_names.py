"""What instances are called, and how far they are trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.scene import SceneMap
from seg3r.scene.build import set_instances
from seg3r.scene.names import instance_name, most_votes
from seg3r.scene.score import evidence_scores
from seg3r.types import Labels
from tests.maps import table_map


def labels(*names: str | None) -> Labels:
    return Labels(names, torch.linspace(0.25, 1, len(names)))


def test_the_label_goes_before_the_votes() -> None:
    assert instance_name(None, {}) is None
    assert instance_name(None, {"cup": 1.0, "bowl": 2.0}) == "bowl"
    assert instance_name(("vase", 0.1), {"cup": 1.0}) == "vase"
    assert instance_name((None, 0.9), {"cup": 1.0}) is None, "a labeler that says none of the words is believed"
    assert most_votes({"cup": 1.0, "bowl": 1.0}) == "bowl"


def test_labels_are_set_anew_and_votes_stay() -> None:
    scene = table_map()
    votes = {i: dict(v) for i, v in scene.name_votes.items()}
    voted = scene.names
    scene.set_labels(labels("a", None, "c", "d"))
    assert scene.names == ("a", None, "c", "d") and scene.name_votes == votes
    scene.set_labels(labels("e", "f", None, "h"))
    assert scene.names == ("e", "f", None, "h") and scene.name_votes == votes
    assert [scene.name_labels[i] for i in scene.ids.tolist()] == [("e", 0.25), ("f", 0.5), (None, 0.75), ("h", 1.0)]
    scene.name_labels.clear()
    assert scene.names == voted


def test_a_merge_drops_the_label_of_the_absorbed_and_a_drop_its_own() -> None:
    scene = table_map()
    a, b, c, d = scene.ids.tolist()
    scene.set_labels(labels("a", "b", "c", "d"))
    other = scene.copy()
    other.merge(a, b)
    other.drop([c])
    assert other.names == ("a", "d") and set(other.name_labels) == {a, d}
    assert scene.names == ("a", "b", "c", "d"), "a copy is independent"
    assert other.name_votes[a] == {**scene.name_votes[a], **scene.name_votes[b]}, "votes add up"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (labels("a"), "labels=: 1 for a map of 4 instances; give one for each"),
        (Labels(("a",) * 4, torch.tensor([0, 0.5, 1, 1.5])), r"labels=: a score is not in 0\.\.1"),
        (Labels(("a",) * 4, torch.tensor([0, 0.5, 1, torch.nan])), r"labels=: a score is not in 0\.\.1"),
    ],
)
def test_wrong_labels_are_refused(given: Labels, says: str) -> None:
    scene = table_map()
    with pytest.raises(InputError, match=says):
        scene.set_labels(given)
    assert scene.name_labels == {}


def test_a_tracker_is_scored_by_its_evidence() -> None:
    """The geometric mean of three factors, counted out by hand."""
    owner = np.array([0, 0, 1, 1], np.int64)
    hits, views = np.array([2, 1, 3, 0], np.int32), np.array([2, 2, 3, 0], np.int32)
    means = np.array([0.5, 1.5, 0.7], np.float32)
    got = evidence_scores(owner, hits, views, means, np.array([3, 6, 9], np.int32))
    wanted = [(0.5 * 0.75 * (1 - np.exp(-1))) ** (1 / 3), (1.0 * 0.5 * (1 - np.exp(-2))) ** (1 / 3), 0.0]
    assert got.tolist() == pytest.approx(wanted, rel=1e-6)
    scene = table_map()
    rule = evidence_scores(
        scene.owners.numpy()[:, 0], scene.hits.numpy(), scene.views.numpy(), scene.mean_scores.numpy(),
        scene.observations.numpy(),
    )
    assert scene.scores.numpy().tolist() == rule.tolist()
    assert SceneMap().scores.shape == (0,)


def test_scores_given_and_scores_by_evidence_stand_side_by_side() -> None:
    """A walk that goes on after a network set instances; of two given scores a merge keeps the higher."""
    scene = table_map()
    ids, by_views = scene.ids.tolist(), scene.scores
    scene._instances["score"][scene._instances.row(ids[1])] = 0.125
    assert scene.scores.tolist() == [by_views[0], 0.125, by_views[2], by_views[3]]
    set_instances(scene, [scene.points_of(i)[0] for i in ids], torch.tensor([0.25, 0.5, 0.75, 1.0]))
    scene.merge(ids[0], ids[2])
    assert scene.scores.tolist() == [0.75, 0.5, 1.0]
