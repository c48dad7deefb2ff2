"""A question to a map on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg3r.api.ask import ask
from seg3r.describe.answers import in_one_line
from seg3r.errors import InputError
from seg3r.label.label_map import label_map
from seg3r.label.nearest import Nearest
from seg3r.label.vocabulary import Vocabulary
from seg3r.scene.combine import select
from tests.seen import BLUE, RED, YELLOW, ColorEncoder, Colours, boxes, place_of


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_question_to_a_map_on_disk(tmp_path: Path) -> None:
    preset, ids = Colours(), boxes().ids.tolist()
    scene = select(boxes(), ids=[ids[place_of(boxes(), truth)] for truth in (RED, BLUE, YELLOW)])
    red = scene.ids.tolist()[place_of(scene, RED)]
    label_map(scene, Nearest(ColorEncoder(), least=0.5), Vocabulary(("red box", "blue box")))
    scene.save(tmp_path / "scene.safetensors")
    answer = ask(tmp_path, "the red box", preset=preset)
    assert set(answer) == {"question", "answers", "text", "points", "mask"} and answer["question"] == "the red box"
    (found,) = answer["answers"]
    assert (found["id"], found["name"]) == (red, "red box") and 0.5 <= found["score"] <= 1
    assert answer["text"] == f"red box #{red}."
    nothing = ask(tmp_path, "the purple hat", preset=preset)
    assert nothing["answers"] == [] and nothing["text"] == "Nothing fits."


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_no_question(question: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty question") as error:
        ask(tmp_path, question)
    one_line(error)


def test_no_map(tmp_path: Path) -> None:
    preset = Colours()
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"scene\.safetensors") as error:
            ask(folder, "the chair", preset=preset)
        one_line(error)
    (tmp_path / "scene.safetensors").write_bytes(b"no map")
    with pytest.raises(InputError, match=r"scene\.safetensors") as error:
        ask(tmp_path, "the chair", preset=preset)
    one_line(error)
    assert preset.loaded == []  # no model is loaded for a map that is not there


def test_an_answer_in_one_line() -> None:
    one = {"id": 4, "score": 0.9, "name": "lamp"}
    assert in_one_line([]) == "Nothing fits."
    assert in_one_line([one]) == "lamp #4."
    assert in_one_line([{**one, "name": None}, one, one]) == "Instance #4 and 2 more."


def test_who_answers_may_be_chosen(tmp_path: Path) -> None:
    boxes().save(tmp_path / "scene.safetensors")
    preset, ids = Colours(), boxes().ids.tolist()
    answer = ask(tmp_path, "everything blue", "mllm", preset)
    assert [each["id"] for each in answer["answers"]] == [ids[place_of(boxes(), BLUE)]]
    assert preset.told.prompts and "thing" not in answer["text"]
    asked = len(preset.told.prompts)
    ask(tmp_path, "everything blue", "nearest", preset)
    assert len(preset.told.prompts) == asked, "the nearest text asks no model"
    with pytest.raises(InputError, match="asked only by the labeler or answerer mllm") as error:
        ask(tmp_path, "everything blue", "nearest", preset, chat="qwen3-vl-4b")
    one_line(error)
