"""Words of others: whatever they hold, they name, encode and print without harm."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg3r.text import LONGEST_NAME, clean_name, printable, well_formed

ANYTHING = st.text(st.characters() | st.sampled_from("\x00\x1b\x07\x9b\n\r\t\u2028\u202e\u2066\ud83d\ude00\ufeff"))
ORDINARY = ["chair", "coffee table", "Стул", "椅子", "می‌خواهم", "👩‍🚀", "crème brûlée", "C:\\notes", "a|b 'c' \"d\""]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_words_stay_as_they_are(name: str) -> None:
    assert clean_name(name) == printable(name) == well_formed(name) == name


@given(ANYTHING)
def test_a_name_is_a_short_line_that_encodes_and_prints(text: str) -> None:
    name = clean_name(text)
    if name is None:
        return
    assert 0 < len(name) <= LONGEST_NAME and name.splitlines() == [name] and name == name.strip()
    assert clean_name(name) == printable(name) == well_formed(name) == name


@given(ANYTHING)
def test_what_is_printed_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown and len(shown.splitlines()) <= 1
    assert {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"} == set()
    shown.encode("utf-8")


@given(ANYTHING)
def test_encoders_take_what_is_well_formed(text: str) -> None:
    assert json.loads(json.dumps(well_formed(text)).encode()) == well_formed(text)
    assert well_formed(text).encode("utf-8").decode("utf-8") == well_formed(text) == well_formed(well_formed(text))


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("\x1b]0;owned\x07chair\x1b[2J", "]0;owned chair [2J", r"\x1b]0;owned\x07chair\x1b[2J"),
        ("a\r\nb\tc\u2028d", "a b c d", r"a\r\nb\tc\u2028d"),
        ("left\u202ethgir", "leftthgir", r"left\u202ethgir"),
        ("half \ud83d", "half \ufffd", r"half \ud83d"),
        ("\x9b31m", "31m", r"\x9b31m"),
    ],
)
def test_controls_are_taken_out_of_names_and_spelt_out_in_print(text: str, name: str, shown: str) -> None:
    assert clean_name(text) == name and printable(text) == shown


def test_a_pair_in_two_halves_is_one_character() -> None:
    assert well_formed("\ud83d\ude00") == clean_name("\ud83d\ude00") == "😀"


def test_names_are_cut_and_may_be_empty() -> None:
    assert clean_name("x" * 10**6) == "x" * LONGEST_NAME
    assert clean_name("ab " * 500) == ("ab " * 67)[:LONGEST_NAME].strip()
    assert clean_name(" \n\x1b\u202e ") is None and clean_name("") is None
