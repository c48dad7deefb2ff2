"""Names by a language model: one that sees colours and knows no more."""

from __future__ import annotations

import re

import pytest
import torch

from seg3r.describe.crops import CONTOUR
from seg3r.label import prompts
from seg3r.label.mllm import MOST_CHOICES, Mllm
from seg3r.protocols import Chat, Labeler
from seg3r.scene import SceneMap
from tests.seen import BOX, CRATE, CUP, TABLE, Colored, ColorEncoder, laid_table, place_of, unnamed


@pytest.fixture
def row() -> dict[int, int]:
    return {truth: place_of(laid_table(), truth) for truth in (TABLE, BOX, CUP, CRATE)}


@pytest.fixture
def scene() -> SceneMap:
    return unnamed(laid_table())


def test_the_model_chooses_from_the_list_or_none(scene: SceneMap, row: dict[int, int]) -> None:
    chat = Colored()
    labeler = Mllm(chat)
    assert isinstance(chat, Chat) and isinstance(labeler, Labeler)
    labels = labeler(scene, ("red box", "green table"))
    expected = {TABLE: "green table", BOX: "red box", CUP: None, CRATE: "red box"}
    assert {truth: labels.names[r] for truth, r in row.items()} == expected
    assert labels.scores.tolist() == pytest.approx([0.8] * 4)
    assert all(1 <= len(p.images) <= 3 for p in chat.prompts) and len(chat.prompts) == 4


def test_views_are_shown_again_without_the_outline_only_where_asked_for(scene: SceneMap) -> None:
    alone, twice = Colored(), Colored()
    words = ("red box", "green table")
    Mllm(alone)(scene, words)
    assert Mllm(twice, plain_too=True)(scene, words).names == Mllm(alone)(scene, words).names
    for once, again in zip(alone.prompts[:4], twice.prompts, strict=True):
        k = len(once.images)
        assert len(again.images) == 2 * k and again.text == prompts.AGAIN.format(count=k) + once.text
        for drawn, bare, kept in zip(again.images[:k], again.images[k:], once.images, strict=True):
            line = (drawn == torch.tensor(CONTOUR, dtype=torch.uint8)).all(-1)
            assert torch.equal(drawn, kept) and torch.equal(drawn[~line], bare[~line])
            assert bool(line.any()) and not bool((bare == torch.tensor(CONTOUR, dtype=torch.uint8)).all(-1).any())
    described = Colored()
    Mllm(described, plain_too=True)(scene, ())
    assert described.prompts
    assert all(len(p.images) % 2 == 0 and p.text.startswith("First ") for p in described.prompts)


def test_words_of_its_own_where_there_is_no_list(scene: SceneMap, row: dict[int, int]) -> None:
    labels = Mllm(Colored(sure=None))(scene, ())
    assert labels.names[row[CUP]] == "blue thing" and labels.scores.tolist() == [1.0] * 4


LONG = (*(f"thing {n}" for n in range(70)), "red box", "green table", "blue cup")


def offered(chat: Colored) -> list[list[str]]:
    return [re.findall(r"Choose from: (.*)\. Answer as", p.text)[0].split(", ") for p in chat.prompts]


def test_a_long_list_is_shortened_by_what_it_looks_like(scene: SceneMap, row: dict[int, int]) -> None:
    chat = Colored()
    labels = Mllm(chat, ColorEncoder())(scene, LONG)
    assert labels.names[row[CUP]] == "blue cup" and labels.names[row[CRATE]] == "red box"
    assert len(chat.prompts) == 4 and all(len(names) == MOST_CHOICES for names in offered(chat))


def test_what_the_masks_were_called_stays_in_a_shortened_list(scene: SceneMap, row: dict[int, int]) -> None:
    scene.name_votes[scene.ids.tolist()[row[CUP]]] = {"Thing 69": 1.0, "no word of the list": 5.0}
    chat = Colored()
    Mllm(chat, ColorEncoder())(scene, LONG)
    lists = offered(chat)
    assert "thing 69" in lists[row[CUP]]
    assert lists[row[BOX]] == [word for word in LONG if word in lists[row[BOX]]]  # in the order of the list


def test_a_long_list_is_shortened_in_rounds_without_an_encoder(scene: SceneMap, row: dict[int, int]) -> None:
    chat = Colored()
    labels = Mllm(chat)(scene, LONG)
    assert labels.names[row[CUP]] == "blue cup" and labels.names[row[TABLE]] == "green table"
    assert all(len(names) <= MOST_CHOICES for names in offered(chat))
    reds = tuple(f"red {n}" for n in range(30 * MOST_CHOICES))  # the winners of the first round are too many again
    chat = Colored()
    labels = Mllm(chat)(scene, reds)
    assert labels.names[row[BOX]] == "red 0" and labels.names[row[CUP]] is None and float(labels.scores[row[CUP]]) == 0
    assert all(len(names) <= MOST_CHOICES for names in offered(chat))


def test_probabilities_agree_with_the_choice(scene: SceneMap, row: dict[int, int]) -> None:
    words = ("red box", "green table", "blue cup")
    for labeler in (Mllm(Colored()), Mllm(Colored(), ColorEncoder())):
        table = labeler.probabilities(scene, words)
        assert table.shape == (4, 3) and bool((table >= 0).all()) and bool((table.sum(1) <= 1 + 1e-5).all())
        assert table.argmax(1).tolist() == [words.index(n) for n in labeler(scene, words).names if n is not None]
        assert float(table[row[CUP], 2]) == pytest.approx(0.8)
    none = Mllm(Colored()).probabilities(scene, ("red box", "green table"))[row[CUP]]
    assert float(none.sum()) == pytest.approx(0.2)


def test_what_was_never_seen_well_is_not_asked_about(scene: SceneMap) -> None:
    scene.sightings.pop(int(scene.ids[1]))
    chat = Colored()
    labels = Mllm(chat)(scene, ("red box", "green table", "blue cup"))
    assert labels.names[1] is None and float(labels.scores[1]) == 0 and len(chat.prompts) == 3
    scene.drop(scene.ids.tolist())
    assert Mllm(Colored())(scene, ("red box",)).names == ()
