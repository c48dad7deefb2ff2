"""`seg3r train` on what learns from video: it makes what its loader reads, goes on, and refuses what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seg3r.cli import main
from seg3r.embed.refined_queries import load_refiner
from seg3r.train import recipes
from tests.commands import refused


def test_a_query_refiner_from_walks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipes, "CLIPS", 1)
    monkeypatch.setattr(recipes, "CLIP_LENGTH", 3)
    words = ["train", "moonseg3r", "--out", str(tmp_path / "run"), "--rooms", "1", "--walks", str(tmp_path / "walks")]
    main([*words, "--steps", "1"])
    assert "--resume" in refused(capsys, *words, "--steps", "2")
    main([*words, "--steps", "2", "--resume", "--plain"])
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text())
    assert (card["steps"], card["distil"], card["clips"]) == (2, 0.0, 1)
    assert card["command"].endswith("--plain")
    assert load_refiner(tmp_path / "run" / "model").config.features == 81


def test_what_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").write_text("nothing to see")
    assert "no video" in refused(capsys, "train", "moonseg3r", *out, "--videos", str(tmp_path / "videos"))
    assert "moonseg3r's" in refused(capsys, "train", "cut3r", *out, "--plain")
    (tmp_path / "run" / "depth").mkdir(parents=True)
    assert "--resume" in refused(capsys, "train", "cut3r", *out)
