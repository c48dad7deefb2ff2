"""Word lists."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seg3r.errors import InputError
from seg3r.label.vocabulary import Vocabulary, read_vocabulary
from seg3r.types import Labels

LIST = "# things\nsofa, couch, settee\n\n  chair\tseat \nTV,television\n"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "words.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", [LIST, LIST.replace("\n", "\r\n"), "\ufeff" + LIST])
def test_a_list_with_synonyms(tmp_path: Path, content: str) -> None:
    words = read_vocabulary(written(tmp_path, content))
    assert words.names == ("sofa", "chair", "TV")
    assert words.words == ("sofa", "chair", "TV", "couch", "settee", "seat", "television")
    assert [words.name_of(w) for w in words.words] == ["sofa", "chair", "TV", "sofa", "sofa", "chair", "TV"]
    assert words.name_of("The Couches") is None  # only an s is understood
    assert words.name_of("the seats") == "chair"
    assert words.name_of("lamp") is None
    assert words.name_of(None) is None


def test_labels_under_their_names(tmp_path: Path) -> None:
    words = read_vocabulary(written(tmp_path, LIST))
    labels = words.named(Labels(("settee", None, "chair"), torch.tensor([0.5, 0.1, 0.9])))
    assert labels.names == ("sofa", None, "chair")
    assert labels.scores.tolist() == pytest.approx([0.5, 0.1, 0.9])


def test_a_list_without_synonyms() -> None:
    words = Vocabulary(("book", "books"))
    assert [words.name_of(w) for w in ("book", "Books", "a book", "pen")] == ["book", "books", "book", None]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no words in it"),
        ("# nothing\n ,\t,\n", "no words in it"),
        ("sofa\nchair\nThe Sofa\n", "'sofa' stands in it twice"),
        ("sofa, couch\ncouch\n", "'couch' stands in it twice"),
        (b"\xff\xfe\x00", "cannot be read as a text file"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=complaint) as error:
        read_vocabulary(path)
    assert str(path) in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such word list"):
        read_vocabulary(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="no such word list"):
        read_vocabulary(tmp_path)


def test_synonyms_for_every_name_or_for_none() -> None:
    with pytest.raises(InputError, match="1 lists of synonyms for 2 names"):
        Vocabulary(("a", "b"), (("c",),))
