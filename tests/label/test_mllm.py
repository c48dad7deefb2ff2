"""Names and answers by a language model: one that sees colours, reads the facts and knows no more."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from seg3r.describe.crops import CONTOUR
from seg3r.describe.facts import COLORS, color_name
from seg3r.label import prompts
from seg3r.label.mllm import MOST_ASKED, MOST_CHOICES, Mllm, MllmAnswers, fits_score
from seg3r.protocols import Answerer, Chat, Labeler
from seg3r.scene import SceneMap
from seg3r.types import Prompt, Reply
from tests.label.seen import ColorEncoder, map_of, place_of
from tests.worlds import BoxWorld

LOW = np.array([[-3, -3, -0.1], [-0.6, -0.4, 0.0], [-0.5, -0.3, 0.7], [0.2, -0.1, 0.7], [1.1, -0.3, 0.0]])
HIGH = np.array([[3, 3, 0.0], [0.6, 0.4, 0.7], [-0.1, 0.1, 1.0], [0.4, 0.1, 0.9], [1.5, 0.3, 0.4]])
SHADES = ("grey", "green", "red", "blue", "red")
TABLE, BOX, CUP, CRATE = 2, 3, 4, 5


class Colored:
    """Sees the colour inside the outline; finds words in the prompt."""

    def __init__(self, sure: float | None = 0.8) -> None:
        self.name, self.sure, self.prompts = "colours", sure, []

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        assert prompts
        self.prompts += prompts
        return [Reply(self._say(prompt), self.sure) for prompt in prompts]

    def _say(self, prompt: Prompt) -> str:
        color = color_name(np.concatenate([_inside(image) for image in outlined_of(prompt)]))
        if "Choose from" in prompt.text:
            names = re.findall(r"Choose from: (.*)\. Answer as", prompt.text)[0].split(", ")
            return json.dumps({"name": next((name for name in names if color in name.split()), None)})
        if "Question:" in prompt.text:
            facts, question = re.findall(r"Outlined: (.*) Question: (.*) Is the outlined", prompt.text)[0]
            wanted = re.findall("|".join(COLORS), question)
            place = re.findall(" on the (.*)", question)
            there = not place or facts.split(";")[1].rstrip(".").endswith(f" {place[0]}")
            return f"Well: {json.dumps({'fits': color in wanted and there})}"
        return json.dumps({"color": color, "name": f"{color} thing"})


def outlined_of(prompt: Prompt) -> list[np.ndarray]:
    """The images with an outline."""
    images = [image.numpy() for image in prompt.images]
    return [image for image in images if (image == np.array(CONTOUR)).all(-1).any()]


def _inside(image: np.ndarray) -> np.ndarray:
    """Colours in the middle of what is outlined."""
    line = (image == np.array(CONTOUR)).all(-1)
    assert line.any()
    rows, columns = np.nonzero(line)
    r, c = int(rows.mean()), int(columns.mean())
    middle: np.ndarray = image[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].reshape(-1, 3).astype(np.float64)
    return middle


@pytest.fixture(scope="module")
def mapped() -> SceneMap:
    return map_of(BoxWorld(LOW, HIGH), SHADES)


@pytest.fixture
def row(mapped: SceneMap) -> dict[int, int]:
    return {truth: place_of(mapped, truth) for truth in (TABLE, BOX, CUP, CRATE)}


@pytest.fixture
def scene(mapped: SceneMap) -> SceneMap:
    scene = mapped.copy()
    for i in scene.ids.tolist():
        scene.name_votes.pop(i)
    return scene


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
    told, asked = Colored(), Colored()
    Mllm(told, plain_too=True)(scene, ())
    MllmAnswers(asked, plain_too=True)(scene, "everything red")
    assert all(len(p.images) % 2 == 0 and p.text.startswith("First ") for p in (*told.prompts, *asked.prompts))
    assert told.prompts and asked.prompts


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


def test_chances_agree_with_the_choice(scene: SceneMap, row: dict[int, int]) -> None:
    words = ("red box", "green table", "blue cup")
    for labeler in (Mllm(Colored()), Mllm(Colored(), ColorEncoder())):
        table = labeler.chances(scene, words)
        assert table.shape == (4, 3) and bool((table >= 0).all()) and bool((table.sum(1) <= 1 + 1e-5).all())
        assert table.argmax(1).tolist() == [words.index(n) for n in labeler(scene, words).names if n is not None]
        assert float(table[row[CUP], 2]) == pytest.approx(0.8)
    none = Mllm(Colored()).chances(scene, ("red box", "green table"))[row[CUP]]
    assert float(none.sum()) == pytest.approx(0.2)


def test_what_was_never_seen_well_is_not_asked_about(scene: SceneMap) -> None:
    scene.sightings.pop(int(scene.ids[1]))
    chat = Colored()
    labels = Mllm(chat)(scene, ("red box", "green table", "blue cup"))
    assert labels.names[1] is None and float(labels.scores[1]) == 0 and len(chat.prompts) == 3
    assert int(scene.ids[1]) not in MllmAnswers(Colored())(scene, "red green blue").instance_ids
    scene.drop(scene.ids.tolist())
    assert Mllm(Colored())(scene, ("red box",)).names == ()
    assert MllmAnswers(Colored())(scene, "the red box").instance_ids == ()


def test_answers_come_from_looks_and_from_facts(scene: SceneMap, row: dict[int, int]) -> None:
    ids = scene.ids.tolist()
    answerer = MllmAnswers(Colored())
    assert isinstance(answerer, Answerer)
    answer = answerer(scene, "everything red")
    assert set(answer.instance_ids) == {ids[row[BOX]], ids[row[CRATE]]}
    assert answer.scores == pytest.approx((0.9, 0.9)) and answer.text is not None and "thing #" in answer.text
    scene.name_votes[ids[row[TABLE]]] = {"table": 1.0}
    assert answerer(scene, "red things on the table").instance_ids == (ids[row[BOX]],)
    assert answerer(scene, "red things on the floor").instance_ids == (ids[row[CRATE]],)
    nothing = answerer(scene, "everything purple")
    assert nothing.instance_ids == () and nothing.scores == () and nothing.text == "Nothing fits."


def test_facts_and_names_are_told(scene: SceneMap, row: dict[int, int]) -> None:
    scene.name_votes[scene.ids.tolist()[row[TABLE]]] = {"table": 1.0}
    chat = Colored()
    MllmAnswers(chat)(scene, "everything red")
    assert "on the green table" in chat.prompts[row[CUP]].text
    assert "holds" in chat.prompts[row[TABLE]].text


def test_of_many_only_the_likely_ones_are_asked_about(scene: SceneMap, row: dict[int, int]) -> None:
    chat = Colored()
    answer = MllmAnswers(chat, ColorEncoder(), most=2)(scene, "everything red")
    assert len(chat.prompts) == 2 < MOST_ASKED
    assert set(answer.instance_ids) == {scene.ids.tolist()[row[t]] for t in (BOX, CRATE)}
    chat = Colored()
    MllmAnswers(chat, most=2)(scene, "everything red")  # nobody to choose whom to ask about
    assert len(chat.prompts) == 4


def test_how_sure_a_yes_is() -> None:
    said = ['{"fits": true}', '{"fits": false}', "who knows"]
    assert [fits_score(Reply(text, 0.6)) for text in said] == pytest.approx([0.8, 0.2, 0.0])
    assert [fits_score(Reply(text)) for text in said] == pytest.approx([1.0, 0.0, 0.0])
    assert torch.tensor([fits_score(Reply(said[0], p / 10)) for p in range(11)]).diff().min() > 0
