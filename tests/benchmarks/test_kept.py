"""What was measured is not measured again, and never mixed with something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kept import Kept, mean_and_spread
from seg3r.errors import InputError
from seg3r.metrics.instance_ap import ScenePrediction

SAME = {"split": "val", "size": (2, 3)}


def never() -> dict[str, float]:
    raise AssertionError("measured again")


def test_what_is_there_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    first = Kept(path, SAME)
    assert first("a", lambda: {"AP": 0.5}) == {"AP": 0.5}
    first.write({"rows": [1]})
    first.put("b", {"AP": 0.25})
    again = Kept(path, SAME)
    assert again("a", never) == {"AP": 0.5}
    assert again("b", never) == {"AP": 0.25}
    assert json.loads(path.read_text())["rows"] == [1], "a new measurement leaves the rows so far"
    assert not Kept(path, SAME, fresh=True).measured


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    Kept(path, SAME).put("a", {"AP": 0.5})
    with pytest.raises(InputError, match="another split"):
        Kept(path, {**SAME, "split": "test"})
    (tmp_path / "other.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="not what this benchmark left"):
        Kept(tmp_path / "other.json", SAME)
    assert not Kept(None, SAME).measured


def test_predictions_lie_beside_the_json(tmp_path: Path) -> None:
    said = ScenePrediction.from_lists(
        [np.array([0, 3]), np.array([3, 4])], 6, np.ones(2, np.int64), np.array([0.5, 0.25])
    )
    path = tmp_path / "table.json"
    for where in (path, None):
        done = Kept(where, SAME)
        done.put_prediction("cut3r | + token", said, {"scale": None})
        found = (Kept(path, SAME) if where else done).prediction("cut3r | + token")
        for name in ("vertices", "starts", "labels", "scores"):
            assert np.array_equal(getattr(found, name), getattr(said, name))
        assert found.vertex_count == 6
    next((tmp_path / "table.kept").iterdir()).unlink()
    assert not Kept(path, SAME).measured, "without its file it was not measured"


def test_mean_and_spread_of_groups() -> None:
    row = mean_and_spread([[{"a": 1.0, "b": None}, {"a": 3.0}], [{"a": 4.0}], []], ("a", "b"))
    assert (row["a"], row["std"]["a"]) == (3.0, 1.0)
    assert row["b"] is None
