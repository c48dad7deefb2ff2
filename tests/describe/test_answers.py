"""An answer as JSON: who, how sure, and which points."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from seg3r.describe.answers import answer_mask, answer_record, in_one_line, mask_runs
from seg3r.errors import InputError
from seg3r.types import Answer
from tests.maps import table_map


def from_runs(runs: dict) -> np.ndarray:
    """As one who reads the file would."""
    mask = np.zeros(runs["length"], bool)
    numbers = [int(n) for n in runs["counts"].split()]
    for first, count in zip(numbers[::2], numbers[1::2], strict=True):
        mask[first - 1 : first - 1 + count] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "counts"),
    [([], ""), ([0, 0], ""), ([1], "1 1"), ([0, 1, 1, 0, 1], "2 2 5 1"), ([1, 1, 1], "1 3"), ([1, 0, 0, 1], "1 1 4 1")],
)
def test_runs_of_points(mask: list[int], counts: str) -> None:
    assert mask_runs(torch.tensor(mask, dtype=torch.bool)) == {"length": len(mask), "counts": counts}


def test_runs_read_back() -> None:
    rng = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99):
        mask = rng.random(997) < share
        assert np.array_equal(from_runs(json.loads(json.dumps(mask_runs(torch.from_numpy(mask))))), mask)


def test_a_record_holds_the_points_of_the_instances() -> None:
    scene = table_map()
    a, b = scene.ids.tolist()[:2]
    answer = Answer("two things", (b, a), (0.9, 0.5))
    record = answer_record(scene, answer)
    union = scene.mask_of((a, b))
    assert record["answers"] == [
        {"id": b, "score": 0.9, "name": scene.names[1]}, {"id": a, "score": 0.5, "name": scene.names[0]}
    ]
    assert record["points"] == int(union.sum())
    assert set(union.nonzero().flatten().tolist()) == {p for i in (a, b) for p in scene.points_of(i)[0].tolist()}
    assert np.array_equal(from_runs(record["mask"]), union.numpy())
    assert record["text"] == f"{scene.names[1]} #{b} and 1 more."
    finer = answer_record(scene, Answer("q", (a,), (1.0,), mask=union))
    assert finer["points"] == int(union.sum()) != answer_record(scene, Answer("q", (a,), (1.0,)))["points"]
    assert torch.equal(answer_mask(scene, answer), union)


def test_a_mask_without_an_instance_is_an_answer_too() -> None:
    scene = table_map()
    mask = torch.zeros(scene.point_count, dtype=torch.bool)
    mask[10:15] = True
    record = answer_record(scene, Answer("what [SEG] means", (), (0.75,), None, mask))
    assert record["answers"] == [] and record["points"] == 5 and record["text"] == "5 points."
    assert record["mask"] == {"length": scene.point_count, "counts": "11 5"}
    nothing = answer_record(scene, Answer("a unicorn", (), ()))
    assert (nothing["points"], nothing["text"], nothing["mask"]["counts"]) == (0, "Nothing fits.", "")
    assert in_one_line([]) == "Nothing fits."


def test_an_answer_to_another_map_is_refused() -> None:
    scene = table_map()
    wrong = Answer("q", (), (), None, torch.ones(3, dtype=torch.bool))
    with pytest.raises(InputError, match=rf"Answer\.mask: over 3 points for a map of {scene.point_count}"):
        answer_record(scene, wrong)
