"""Vocabularies by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg3r.datasets import DATASETS
from seg3r.errors import InputError
from seg3r.presets.words import ROOM_WORDS, vocabulary_named
from seg3r.rooms import CLASSES


def test_the_rooms_words_are_their_things() -> None:
    words = vocabulary_named("rooms")
    assert words == ROOM_WORDS and set(words.names) < set(CLASSES[1:])
    assert "chair" in words.names and not {"wall", "floor", "ceiling"} & set(words.names)


@pytest.mark.parametrize("name", list(DATASETS))
def test_the_words_of_every_data_set_are_words(name: str) -> None:
    words = vocabulary_named(name)
    assert words.names == DATASETS[name].protocol.phrases
    assert [words.name_of(word) for word in words.names] == list(words.names)


def test_words_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my words.txt"
    path.write_text("sofa, couch\nlamp\n")
    words = vocabulary_named(str(path))
    assert (words.names, words.words) == (("sofa", "lamp"), ("sofa", "lamp", "couch"))


@pytest.mark.parametrize("name", ["scannet300", "", "no/such/file.txt", "."])
def test_words_that_are_nowhere(name: str) -> None:
    with pytest.raises(InputError, match="neither a file nor one of rooms, scannet200") as error:
        vocabulary_named(name)
    assert repr(name) in str(error.value) and "\n" not in str(error.value)
