"""What a model is asked, and how what it says is read."""

from __future__ import annotations

import json
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seg3r.label import prompts
from seg3r.label.prompts import plain_name, read_description, read_fits, read_name, same_name
from seg3r.rooms import CLASSES
from seg3r.text import LONGEST_NAME

NAMES = ("chair", "coffee table", "book", "books", "tv stand", "glass", "Toy_Car")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('{"name": "chair"}', "chair"),
        ('```json\n{"name": "the Coffee Table"}\n```', "coffee table"),
        ('It is this: {"name": "a chair."} I am sure.', "chair"),
        ('{"thought": {"name2": 1}} {"name": "chairs"}', "chair"),
        ('{"name": "book"}', "book"),
        ('{"name": "books"}', "books"),
        ('{"name": "glass"}', "glass"),
        ('{"name": "glas"}', None),
        ('{"name": "toy car"}', "Toy_Car"),
        ('{"name": "chair', "chair"),
        ("A chair.", "chair"),
        ('{"name": null}', None),
        ('{"name": "none of these"}', None),
        ('{"name": "sofa"}', None),
        ('{"name": 3}', None),
        ('{"name": ["chair"]}', None),
        ('{"color": "red"}', None),
        ("{", None),
        ("", None),
        ("[1, 2", None),
    ],
)
def test_a_name_is_found_whatever_is_around_it(said: str, name: str | None) -> None:
    assert read_name(said, NAMES) == name


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ('{"fits": true}', True), ('{"fits": false}', False), ('ok: {"fits": true}.', True), ("Yes.", True),
        ("no", False), ('{"fits": "true"}', True), ('{"fits": FALSE}', False), ("nothing to say", None), ("", None),
        ("{", None), ('{"a": 1} then {"fits": false}', False), ("knowledge", None),
    ],
)
def test_yes_no_or_neither(said: str, fits: bool | None) -> None:
    assert read_fits(said) is fits


def test_what_a_model_should_say_is_what_is_read() -> None:
    for name in (*NAMES, None):
        assert read_name(prompts.naming_answer(name), NAMES) == name
        assert read_description(prompts.describing_answer("red", name)) == name
    for fits in (True, False):
        assert read_fits(prompts.fits_answer(fits)) is fits


def test_a_description_is_a_name_fit_for_a_map() -> None:
    assert read_description('{"name": "x\\u001b]0;y\\u0007\\n\\u202ez \\ud83d"}') == "x ]0;y z \ufffd"
    assert read_description(json.dumps({"name": "very " * 1000})) is None, "who says so much names nothing"
    assert read_description(json.dumps({"name": "very " * 100})) == ("very " * 100)[:LONGEST_NAME].strip()
    assert read_description('{"name": " \\u001b "}') is None


@pytest.mark.parametrize("said", [
    "{" * 10**6, '{"a":' * 10**5, "[" * 10**6, '{"name": ' + "[" * 10**5, '{"name": ' + "9" * 10**5 + "}",
    '{"name": NaN}', '{"name": 1e999}', '{"name": -Infinity}',
])
def test_a_deep_or_huge_reply_is_soon_read(said: str) -> None:
    began = time.monotonic()
    assert read_name(said, NAMES) is read_description(said) is read_fits(said) is None
    assert time.monotonic() - began < 2


@given(st.text(max_size=80))
def test_no_reply_breaks_the_reading(said: str) -> None:
    assert read_name(said, NAMES) in (*NAMES, None)
    assert read_name('{"name": ' + said, NAMES) in (*NAMES, None)
    assert read_fits(said) in (True, False, None)
    assert read_description(said) is None or isinstance(read_description(said), str)


def test_every_class_of_the_rooms_is_itself_and_no_other() -> None:
    names = CLASSES[1:]
    for name in names:
        assert same_name(name, names) == name
        assert same_name(f"the {name.upper()}", names) == name
    alike = [name for name in names if [plain_name(n) for n in names].count(plain_name(name)) > 1]
    assert alike == ["book", "books"]


def test_the_fixed_words_are_few_and_the_rest_is_what_was_given() -> None:
    naming, fits = prompts.naming_prompt((), NAMES), prompts.fits_prompt((), "FACTS.", "QUESTION?")
    assert len(prompts.naming_prompt((), ()).text.split()) <= 25
    assert len(prompts.fits_prompt((), "", "").text.split()) <= 25
    assert ", ".join(NAMES) in naming.text
    assert "FACTS." in fits.text and "QUESTION?" in fits.text
    assert prompts.fits_prompt((), "{x}", "{fits} {}").text.count("{x}") == 1  # braces of others stay


def test_the_words_the_bundled_model_learnt() -> None:
    """Without plain views nothing is said of them: it was trained on these very prompts."""
    image = torch.zeros(4, 4, 3, dtype=torch.uint8)
    naming = 'What is outlined? Choose from: cup, bed. Answer as JSON: {"name": "..."}, or null for none of these.'
    assert prompts.naming_prompt([image], ("cup", "bed")).text == naming
    both = prompts.naming_prompt([image], ("cup", "bed"), [image])
    assert both.text == f"First 1 with the outline drawn, then the same 1 without it. {naming}"
    assert len(both.images) == 2 and len(prompts.fits_prompt([image], "a cup.", "?").images) == 1
