"""What a damaged file may raise ends in one line."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import SafetensorError

from seg3r.errors import InputError, MissingExtraError
from seg3r.reading import DAMAGED, open_image, quoted, read_npy, read_pixels, reading

PLACE = Path("somewhere/file")


@pytest.mark.parametrize("kind", [
    OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, ZeroDivisionError,
    RuntimeError, RecursionError, NotImplementedError, MemoryError, SyntaxError, UnicodeError, SafetensorError,
    struct.error, zlib.error, zipfile.BadZipFile, json.JSONDecodeError, Image.DecompressionBombError,
])
def test_whatever_a_reader_raises_becomes_one_line(kind: type[Exception]) -> None:
    assert issubclass(kind, DAMAGED)
    given = ("no\n\x1b[2Jnumber", "", 0) if kind is json.JSONDecodeError else ("no\n\x1b[2Jnumber",)
    with pytest.raises(InputError) as caught, reading(PLACE, "a map", "write it again"):
        raise kind(*given)
    line = str(caught.value)
    assert line.startswith("somewhere/file: cannot be read as a map (") and line.endswith("); write it again")
    assert line.isprintable()


def test_what_is_said_already_is_said_once() -> None:
    with pytest.raises(InputError, match=r"^somewhere/file: too long$"), reading(PLACE, "a map"):
        raise InputError("somewhere/file: too long")
    with pytest.raises(InputError, match=r"^somewhere/file: too long$"), reading(PLACE, "a map"):
        raise InputError("too long")
    with pytest.raises(MissingExtraError), reading(PLACE, "a map"):
        raise MissingExtraError("install it")
    with pytest.raises(InputError, match=r"\('voxel_m' is missing\)"), reading(PLACE, "a map"):
        {}["voxel_m"]
    with pytest.raises(InputError) as caught, reading(PLACE, "a map"):
        raise ValueError("9" * 10_000)
    assert len(str(caught.value)) < 400


def test_libraries_warn_of_nothing() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with reading(PLACE, "a map"):
            warnings.warn("odd", stacklevel=1)
    assert not heard


def test_what_a_file_says_is_quoted_short_and_plain() -> None:
    for text in ("\ud800 x", "\x1b]0;title\x07", "a\u2028b", "two\nlines", "y" * 10_000):
        assert quoted(text).isprintable() and len(quoted(text)) < 300
        quoted(text).encode()
    assert quoted("Stühle") == "'Stühle'"


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 2**62), (7,)])
def test_an_array_that_claims_more_than_there_is(shape: tuple[int, ...], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    (tmp_path / "a.npy").write_bytes(buffer.getvalue() + b"\0" * 24)
    with pytest.raises(ValueError, match="its header claims"):
        read_npy(tmp_path / "a.npy")


def test_arrays_come_back_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    table = np.arange(6.0).reshape(2, 3)
    for array in (table, np.asfortranarray(table.astype(np.int16)), np.zeros((0, 3), np.float32)):
        np.save(path, array)
        np.testing.assert_array_equal(read_npy(path), array)
    np.save(path, np.array([None, 1], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not numbers"):
        read_npy(path)
    with path.open("wb") as file:
        np.savez(file, np.zeros(3))
    with pytest.raises(ValueError, match="magic"):
        read_npy(path)


def test_images_of_known_kinds_and_no_bombs(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(path)
    assert read_pixels(path).shape == (4, 5)
    Image.new("RGB", (4, 4)).save(tmp_path / "page.eps")
    (tmp_path / "page.eps").rename(path)
    with pytest.raises(OSError, match="cannot identify"):
        open_image(path)
    path.write_bytes(b"P5 60000 60000 255\n")
    with pytest.raises(InputError, match="decompression bomb"), reading(path, "an id map"):
        read_pixels(path)
    path.write_bytes(b"P5 11000 11000 255\n")  # of this size it only warns
    with pytest.raises(InputError, match="decompression bomb"), reading(path, "an id map"):
        read_pixels(path)
