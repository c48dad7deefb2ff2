"""Replies kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from seg3r.language.cache import Cached, key_of
from seg3r.protocols import Chat
from seg3r.types import Prompt, Reply


class Counting:
    """Says how often it was asked."""

    def __init__(self, name: str = "one") -> None:
        self.name, self.asked = name, []

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        assert prompts
        self.asked += [p.text for p in prompts]
        return [Reply(f"{p.text} {len(self.asked)}", None if p.text == "ü" else 0.1 + 0.2) for p in prompts]


def prompt(text: str, value: int = 0, shape: tuple[int, int] = (2, 6)) -> Prompt:
    return Prompt((torch.full((*shape, 3), value, dtype=torch.uint8),), text)


def test_the_same_question_is_asked_once_even_in_one_call_and_after_a_restart(tmp_path: Path) -> None:
    chat = Counting()
    cached = Cached(chat, tmp_path / "deep" / "er")
    assert isinstance(cached, Chat) and cached.name == "one"
    first = cached([prompt("a"), prompt("ü"), prompt("a")])
    assert chat.asked == ["a", "ü"]
    assert first[0] == first[2] and first[0].confidence == 0.1 + 0.2 and first[1].confidence is None
    again = Counting()
    assert Cached(again, tmp_path / "deep" / "er")([prompt("ü"), prompt("b"), prompt("a")]) == [
        first[1], Reply("b 1", 0.1 + 0.2), first[0]
    ]
    assert again.asked == ["b"]
    assert cached([]) == []
    assert not list(tmp_path.rglob(".*"))


def test_half_a_surrogate_pair_has_a_key_too(tmp_path: Path) -> None:
    cached = Cached(Counting("a \udc80"), tmp_path)
    assert cached([prompt("a \ud83d")]) == cached([prompt("a \ud83d")]) != cached([prompt("a \ud83e")])


@pytest.mark.parametrize("other", [prompt("b"), prompt("a", 1), prompt("a", 0, (6, 2)), Prompt((), "a")])
def test_another_question_is_another(other: Prompt, tmp_path: Path) -> None:
    assert key_of(other, "one") != key_of(prompt("a"), "one") == key_of(prompt("a"), "one")
    chat = Counting()
    Cached(chat, tmp_path)([prompt("a"), other])
    assert len(chat.asked) == 2


def test_another_model_is_asked_itself(tmp_path: Path) -> None:
    first, second = Counting("one"), Counting("two")
    Cached(first, tmp_path)([prompt("a")])
    Cached(second, tmp_path)([prompt("a")])
    assert len(second.asked) == 1


@pytest.mark.parametrize("content", [
    "", '{"text": "a', "[]", '{"text": "x"}', '{"text": "x", "confidence": "?"}', '{"text": "x", "confidence": NaN}',
    '{"text": "x", "confidence": 2}', '{"text": 7, "confidence": null}', "[" * 10**5,
    f'{{"text": "x", "confidence": {"9" * 999}}}',
])
def test_half_a_file_is_none(content: str, tmp_path: Path) -> None:
    Cached(Counting(), tmp_path)([prompt("a")])
    (held,) = tmp_path.rglob("*.json")
    held.write_text(content)
    chat = Counting()
    assert Cached(chat, tmp_path)([prompt("a")])[0].text == "a 1"
    assert chat.asked == ["a"]
    assert Cached(Counting(), tmp_path)([prompt("a")])[0].text == "a 1"
