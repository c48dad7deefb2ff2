"""Answers on the vertices of the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.datasets.truth import Truth
from seg3r.evaluate.answers import named_things, on_vertices
from seg3r.evaluate.questions import MappedQuestions, answer_iou, phrase_ap
from seg3r.evaluate.run import predict
from seg3r.metrics.transfer import nearest_points
from seg3r.rooms.language import Question
from seg3r.types import Answer
from tests.maps import table_map

SCENE = table_map()
IDS = SCENE.ids.tolist()
VERTICES = SCENE.points.numpy()
"""The truth lies on the map's own points."""
NEAREST = nearest_points(VERTICES, VERTICES, 0.01)
OWNER = SCENE.best_owners.numpy()
TRUTH = Truth(VERTICES, np.where(OWNER >= 0, 1001 + OWNER, 1009).astype(np.int64))
MASKS = predict(SCENE, VERTICES, 0.01)
ASKED = MappedQuestions(SCENE, (), (1, 2, 3, 4), MASKS, TRUTH, NEAREST)
FIRST = Question("the first", "attribute", (1,))


def test_vertices_follow_their_nearest_point() -> None:
    assert np.array_equal(NEAREST, np.arange(len(VERTICES)))
    mask = np.array([True, False, True])
    assert on_vertices(mask, np.array([2, -1, 1, 0, 0])).tolist() == [True, False, False, True, True]
    far = nearest_points(VERTICES[:5], VERTICES[:5] + 3, 0.5)
    assert far.tolist() == [-1] * 5
    assert not on_vertices(np.ones(5, bool), far).any()


def test_instances_are_named_by_their_vertices_and_a_mask_by_its_own() -> None:
    lists = MASKS.lists()
    two = Answer("q", (IDS[2], IDS[0]), (0.9, 0.5), mask=SCENE.mask_of(IDS[:1]))
    named, scores = named_things(SCENE, two, lists, NEAREST)
    assert [a.tolist() for a in named] == [lists[2].tolist(), lists[0].tolist()] and scores == [0.9, 0.5]
    alone, scores = named_things(SCENE, Answer("q", (), (0.25,), mask=SCENE.mask_of(IDS[:1])), lists, NEAREST)
    assert alone[0].tolist() == SCENE.points_of(IDS[0])[0].tolist() and scores == [0.25]
    assert named_things(SCENE, Answer("q", (), (), mask=SCENE.mask_of(IDS[:1])), lists, NEAREST)[1] == [1.0]
    empty = torch.zeros(SCENE.point_count, dtype=torch.bool)
    for silent in (Answer("q", (), ()), Answer("q", (), (), mask=empty), Answer("q", (), (0.3,), mask=empty)):
        assert named_things(SCENE, silent, lists, NEAREST) == ([], [])


def test_a_mask_alone_is_judged_as_the_instance_would_be() -> None:
    """Who segments without naming is measured like who names: AP of the phrase, the thing, and IoU of the mask."""
    by_name = Answer("q", (IDS[0],), (0.9,), mask=SCENE.mask_of(IDS[:1]))
    by_mask = Answer("q", (), (0.9,), mask=SCENE.mask_of(IDS[:1]))
    for answer in (by_name, by_mask):
        named, scores = named_things(SCENE, answer, MASKS.lists(), NEAREST)
        assert phrase_ap(ASKED, FIRST, named, scores) == pytest.approx((1, 1, 1))
        assert ASKED.things_named(answer, named) == [1]
        assert answer_iou(ASKED, FIRST, answer) > 0.95
    wrong = Answer("q", (), (0.9,), mask=SCENE.mask_of(IDS[1:2]))
    named, scores = named_things(SCENE, wrong, MASKS.lists(), NEAREST)
    assert phrase_ap(ASKED, FIRST, named, scores) == (0, 0, 0) and ASKED.things_named(wrong, named) == [2]
    assert answer_iou(ASKED, FIRST, wrong) == 0
    both = answer_iou(ASKED, FIRST, Answer("q", tuple(IDS[:2]), (0.9, 0.8)))
    assert 0 < both < 1, "a mask that covers too much"
