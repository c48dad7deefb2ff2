"""Every example runs, on a small room, as a person would run it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seg3r.rooms import write_room

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FRAMES, SIZE = 10, (90, 120)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small recording, and its map once the first example ran."""
    folder = tmp_path_factory.mktemp("examples")
    write_room(2_000_001, FRAMES, SIZE, "noisy", folder / "room")
    return folder


def example(name: str) -> Callable[..., Any]:
    main: Callable[..., Any] = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=name)["main"]
    return main


@pytest.fixture(scope="module")
def mapped(place: Path) -> Path:
    example("01_map_a_recording")(str(place / "room"), str(place / "map"))
    return place / "map"


def test_map_a_recording(mapped: Path) -> None:
    assert {"scene.ply", "instances.json", "report.html", "scene.safetensors"} <= {p.name for p in mapped.iterdir()}


def test_ask(mapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("02_ask")(str(mapped), "something to sit on", "a spaceship")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "something to sit on" and "a spaceship" in lines and len(lines) >= 4


def test_read_a_map(mapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("03_read_a_map")(str(mapped))
    out = capsys.readouterr().out
    assert out.startswith(f"<Map of {FRAMES} views") and "points belong to" in out
    assert any(mapped.glob("thing-*.png"))


def test_use_other_masks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("04_use_other_masks")(str(place / "room"), str(place / "other"), "truth")
    first, second = capsys.readouterr().out.splitlines()
    assert "0 instances" not in first and "bright" in second + first


def test_add_a_part(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("05_add_a_part")(str(place / "room"))
    assert capsys.readouterr().out.startswith(f"<Map of {FRAMES} views")


def test_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    example("06_evaluate")("1", "6", "96")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("AP ")[0].strip() for line in lines] == ["whole", "without merge", "without consistency"]


def test_examples_are_short_and_all_run_here() -> None:
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) >= 6
    source = Path(__file__).read_text(encoding="utf-8")
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) < 40, script.name
        assert f'example("{script.stem}")' in source, f"{script.name} is run by no test"
