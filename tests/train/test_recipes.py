"""Recipes: their defaults are what the cards of the shipped weights say, and what makes no training is refused before
anything runs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from seg3r.cli import main, parse_command
from seg3r.embed.refined_queries import load_refiner
from seg3r.errors import InputError
from seg3r.lock import sole_writer
from seg3r.train import trainers
from seg3r.train.recipes import ClipRecipe, Cut3rRecipe, MllmRecipe, QueryRefinerRecipe, Recipe
from seg3r.weights.bundled import bundled
from tests.commands import refused

CARDS: dict[str, type[Recipe]] = {
    "clip": ClipRecipe, "mllm": MllmRecipe, "cut3r": Cut3rRecipe, "refiner": QueryRefinerRecipe,
    "refiner_plain": QueryRefinerRecipe,
}
ON_CARDS = {"peak": "peak_learning_rate"}
"""Numbers that a card calls otherwise."""


def card_of(name: str) -> dict[str, Any]:
    card = json.loads((bundled(name) / "card.json").read_text())
    assert isinstance(card, dict)
    return card


@pytest.mark.parametrize("name", CARDS)
def test_card_and_recipe_agree(name: str) -> None:
    """The card's command, given today, asks for every number that the card tells."""
    card = card_of(name)
    command = parse_command([*card["command"].split()[1:], "--out", "run"])
    recipe = getattr(command, "asked", command.recipe)
    assert type(recipe) is CARDS[name]
    told = [field.name for field in fields(recipe) if ON_CARDS.get(field.name, field.name) in card]
    assert {"seed"} < set(told), "a card that tells nothing agrees with everything"
    assert {n: getattr(recipe, n) for n in told} == {n: card[ON_CARDS.get(n, n)] for n in told}
    assert f"{recipe.rooms} rooms" in card["data"]


def test_a_recipe_is_the_default_of_its_command() -> None:
    for name, recipe in (("clip", ClipRecipe()), ("mllm", MllmRecipe()), ("cut3r", Cut3rRecipe()),
                         ("query-refiner", QueryRefinerRecipe()), ("moonseg3r", QueryRefinerRecipe())):
        assert parse_command(["train", name, "--out", "run"]).recipe == recipe


def test_steps_of_cut3r_are_shared_out() -> None:
    assert Cut3rRecipe().of_steps(7800) == Cut3rRecipe()
    for steps in (5, 100, 5100):
        recipe = Cut3rRecipe().of_steps(steps)
        assert recipe.depth_steps + recipe.clip_steps == steps
        assert recipe.depth_steps / steps == pytest.approx(7000 / 7800, abs=1 / steps)
    with pytest.raises(InputError, match="steps: 1; too few"):
        Cut3rRecipe().of_steps(1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("clip", "--steps", "0"), "--steps: 0"),
        (("clip", "--rooms", "0"), "--rooms: 0"),
        (("clip", "--seed", "-1"), "--seed: -1"),
        (("clip", "--peak", "nan"), "--peak: nan"),
        (("clip", "--peak", "0"), "--peak: 0"),
        (("mllm", "--eye-steps", "0"), "--eye-steps: 0"),
        (("cut3r", "--steps", "1"), "--steps: 1"),
        (("cut3r", "--steps", "0"), "--steps: 0"),
        (("query-refiner", "--clips", "0"), "--clips: 0"),
        (("moonseg3r", "--clip-length", "1"), "--clip-length: 1"),
        (("query-refiner", "--distil", "-1"), "--distil: -1"),
        (("clip", "--device", "nope"), "--device: 'nope'"),
        (("cut3r", "--device", "nope"), "--device: 'nope'"),
        (("clip", "--out", "FILE"), "a file"),
        (("mllm", "--out", "FILE/run"), "is a file"),
        (("clip", "--maps", "FILE"), "a file"),
        (("cut3r", "--walks", "FILE/walks"), "is a file"),
        (("cut3r", "--plain"), "--plain: belongs to query-refiner, not to cut3r"),
        (("clip", "--walks", "there"), "--walks: belongs to cut3r"),
        (("query-refiner", "--preset", "foundation"), "weights fetch"),
    ],
)
def test_what_makes_no_training_is_refused_before_anything_runs(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("a file")
    out = () if "--out" in words else ("--out", "run")
    assert said in refused(capsys, "train", *words, *out)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_a_query_refiner_from_walks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "query-refiner", "--out", str(tmp_path / "run"), "--rooms", "1", "--clips", "1", "--clip-length",
             "3", "--walks", str(tmp_path / "walks")]
    main([*words, "--steps", "1"])
    assert "--resume" in refused(capsys, *words, "--steps", "2")
    main([*words, "--steps", "2", "--resume", "--plain"])
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text())
    assert (card["steps"], card["distil"], card["clips"]) == (2, 0.0, 1)
    again = parse_command([*card["command"].split()[1:], "--out", "run"]).recipe
    assert again == QueryRefinerRecipe(steps=2, rooms=1, clips=1, clip_length=3, distil=0.0)
    assert load_refiner(tmp_path / "run" / "model").config.features == 81


def test_a_training_that_runs_is_seen_before_anything_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers, "rendered_walks", lambda *_: pytest.fail("rendered first"))
    with sole_writer(tmp_path / "out"), ThreadPoolExecutor(1) as pool:
        trouble = pool.submit(
            trainers.cut3r_from_walks, Cut3rRecipe(), tmp_path / "out", walks=tmp_path / "walks"
        ).exception()
    assert isinstance(trouble, InputError) and str(trouble).startswith("another run (pid")


def test_what_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").write_text("nothing to see")
    assert "no video" in refused(capsys, "train", "moonseg3r", *out, "--videos", str(tmp_path / "videos"))
    (tmp_path / "run" / "depth").mkdir(parents=True)
    assert "--resume" in refused(capsys, "train", "cut3r", *out)
