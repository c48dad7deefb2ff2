"""The text files of the ScanNet benchmark: read, written, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.datasets.scannet_text import read_ground_truth, read_prediction, write_ground_truth, write_prediction
from seg3r.errors import InputError
from tests.datasets.predictions import random_prediction


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-5, 10**9), max_size=50))
def test_ground_truth_round_trip(tmp_path_factory: pytest.TempPathFactory, ids: list[int]) -> None:
    path = tmp_path_factory.mktemp("gt") / "scene.txt"
    write_ground_truth(path, np.array(ids, np.int64))
    assert read_ground_truth(path).tolist() == ids
    assert [p.name for p in path.parent.iterdir()] == ["scene.txt"]  # nothing temporary is left


@pytest.mark.parametrize("count", [0, 1, 5])
def test_prediction_round_trip(tmp_path: Path, count: int) -> None:
    prediction = random_prediction(1, count=count)
    path = write_prediction(tmp_path, "scene0000_00", prediction)
    back = read_prediction(path, 400)
    for name in ("vertices", "starts", "labels", "scores"):
        np.testing.assert_array_equal(getattr(back, name), getattr(prediction, name))
    assert {p.name for p in tmp_path.iterdir()} == {"scene0000_00.txt", "predicted_masks"}
    assert not list(tmp_path.rglob(".*"))


def test_lenient_where_it_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_bytes(b" 5001\r\n+0 \r\n-1\r\n\r\n\n")
    assert read_ground_truth(tmp_path / "gt.txt").tolist() == [5001, 0, -1]
    (tmp_path / "m.txt").write_text("0\n1\n1")
    (tmp_path / "scene.txt").write_text("\nm.txt  5   0.25\n\n")
    prediction = read_prediction(tmp_path / "scene.txt", 3)
    assert prediction.lists()[0].tolist() == [1, 2] and prediction.scores.tolist() == [0.25]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1\nx\n", 2), ("1\n2 3\n", 2), ("1.0\n", 1), ("1\n\n2\n", 2), ("1\n-\n", 2), ("--1\n", 1), ("- 1\n", 1),
        ("1\n2\n" + "9" * 30, 3), ("\n\n1", 1), ("1\n2\n-", 3), ("1e3", 1), ("\ufeff1\n", 1), ("1-2\n", 1),
    ],
)  # fmt: skip
def test_malformed_numbers_are_named(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"gt\.txt, line {line}: expected one integer"):
        read_ground_truth(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("masks/a.txt 5", "expected 'mask_file label confidence'"),
        ("masks/a.txt 5 0.5 1", "expected 'mask_file label confidence'"),
        ("masks/a.txt chair 0.5", "integer label"),
        ("masks/a.txt 5 high", "integer label"),
        ("masks/a.txt 5 nan", "finite"),
        ("masks/a.txt 5 inf", "finite"),
        ("../outside.txt 5 0.5", "outside"),
        ("masks/../../outside.txt 5 0.5", "outside"),
        ("/etc/hostname 5 0.5", "outside"),
        ("link.txt 5 0.5", "outside"),
        ("masks/none.txt 5 0.5", "does not exist"),
        ("masks 5 0.5", "does not exist"),
    ],
)
def test_malformed_predictions_are_named(tmp_path: Path, line: str, message: str) -> None:
    folder = tmp_path / "pred"
    (folder / "masks").mkdir(parents=True)
    for place in (folder / "masks" / "a.txt", tmp_path / "outside.txt"):
        place.write_text("0\n1\n")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "s.txt").write_text(f"masks/a.txt 5 0.5\n{line}\n")
    with pytest.raises(InputError, match=message) as caught:
        read_prediction(folder / "s.txt", 2)
    assert "s.txt, line 2" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [("0\n1\n0\n", "expected 2 lines"), ("0\n", "expected 2 lines"), ("0\n2\n", "line 2: expected 0 or 1, got 2"),
     ("-1\n0\n", "line 1: expected 0 or 1"), ("0\ntrue\n", "line 2: expected one integer")],
)  # fmt: skip
def test_malformed_masks_are_named(tmp_path: Path, mask: str, message: str) -> None:
    (tmp_path / "m.txt").write_text(mask)
    (tmp_path / "s.txt").write_text("m.txt 5 0.5\n")
    with pytest.raises(InputError, match=rf"m\.txt.*{message}"):
        read_prediction(tmp_path / "s.txt", 2)


@pytest.mark.parametrize("scene", ["../up", "a/b", "a b", ""])
def test_scene_names_stay_in_the_folder(tmp_path: Path, scene: str) -> None:
    with pytest.raises(InputError, match="scene name"):
        write_prediction(tmp_path, scene, random_prediction(0))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        read_prediction(tmp_path / "a.txt", 200)
    with pytest.raises(InputError, match="cannot be read"):
        read_ground_truth(tmp_path / "absent.txt")
