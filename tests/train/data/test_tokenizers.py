"""Small tokenizers: what goes in comes out, and frequent words are one token."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg3r.train.data.tokenizers import CHAT_END, END, IMAGE, chat_tokenizer, phrase_tokenizer, stored_tokenizer

pytest.importorskip("transformers")

WORDS = ["a chair", "the chair", "is this a chair?", "the Red chair stands 1.25 m from the lamp"] * 4
CHAT, PHRASE = chat_tokenizer(WORDS, 330, 64), phrase_tokenizer(WORDS, 330, 8)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    ids = CHAT(text, add_special_tokens=False)["input_ids"]
    if not any(token in text for token in CHAT.get_added_vocab()):
        assert CHAT.decode(ids).strip() == unicodedata.normalize("NFC", text).strip()


def test_a_word_is_the_same_token_in_front_and_within() -> None:
    alone = CHAT("chair", add_special_tokens=False)["input_ids"]
    assert len(alone) == 1 and alone[0] in CHAT("the chair", add_special_tokens=False)["input_ids"]


def test_digits_are_read_one_by_one() -> None:
    tokens = CHAT.convert_ids_to_tokens(CHAT("1.25 305", add_special_tokens=False)["input_ids"])
    assert [t for t in tokens if t.isdigit()] == list("125305")


def test_special_tokens_are_single() -> None:
    ids = CHAT(IMAGE + CHAT_END, add_special_tokens=False)["input_ids"]
    assert ids == CHAT.convert_tokens_to_ids([IMAGE, CHAT_END])


def test_phrases_have_no_case_and_an_end_even_if_cut() -> None:
    assert PHRASE("The RED chair")["input_ids"] == PHRASE("the red chair")["input_ids"]
    cut = PHRASE("chair " * 50, truncation=True)["input_ids"]
    assert len(cut) == 8 and cut[-1] == PHRASE.convert_tokens_to_ids(END)


def test_a_run_keeps_the_tokenizer_it_began_with(tmp_path: Path) -> None:
    CHAT.chat_template = "{{ messages[0].content }}"
    first = stored_tokenizer(tmp_path, lambda: CHAT)
    again = stored_tokenizer(tmp_path, lambda: pytest.fail("made twice"))
    text = "Is this the lamp? 椅子 7"
    assert first(text)["input_ids"] == again(text)["input_ids"] == CHAT(text)["input_ids"]
    assert again.chat_template == CHAT.chat_template and again.eos_token == CHAT_END
