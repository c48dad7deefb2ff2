"""What a damaged or foreign file may raise, and the one way in which it reaches whoever named the file: a line.

Every reader works within `reading`. Sizes that a file claims are held against the file's length before memory is taken.
"""

from __future__ import annotations

import csv
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError

from seg3r.errors import InputError
from seg3r.text import printable

DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, MemoryError,
    BufferError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning, SafetensorError,
    csv.Error, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)
"""Of the readers in use: Pillow (SyntaxError, struct.error, zlib.error, bombs), numpy (EOFError, BadZipFile,
TokenError), JSON (RecursionError is a RuntimeError), numbers that overflow, and fields that are absent or of another
type."""
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
"""Pillow knows more, and for some of them it starts another program."""
_LONGEST_REASON, _LONGEST_QUOTE = 300, 200
"""Characters."""


@contextmanager
def reading(path: Path | str, what: str, advice: str = "") -> Iterator[None]:
    """Whatever a reader raises within becomes an InputError of one line; what libraries warn of is not shown.

    Args:
        path: file that is read, or another name for the place.
        what: what it should be, as in "an id map".
        advice: what to do, as in "fetch it again".

    Raises:
        InputError: PATH: cannot be read as WHAT (reason); ADVICE. One raised within stays if it names the path.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {one_line(error)}") from error
    except DAMAGED as error:
        then = f"; {advice}" if advice else ""
        raise InputError(f"{path}: cannot be read as {what} ({one_line(error)}){then}") from error


def one_line(error: BaseException) -> str:
    """What a foreign error says, on one line, without what a terminal would obey."""
    text = printable(" ".join(str(error).split()))
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + " ..."
    if isinstance(error, KeyError) and text:
        return f"{text} is missing"
    return text or type(error).__name__


def quoted(text: str) -> str:
    """What a file says, as it may stand in an error: in quotes, printable, not at length."""
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + " ..."
    return f"'{printable(' '.join(shown.split()))}'"


def open_image(path: Path) -> Image.Image:
    """An image in one of `IMAGE_FORMATS`, its pixels not read yet."""
    return Image.open(path, formats=IMAGE_FORMATS)


def read_pixels(path: Path) -> npt.NDArray[Any]:
    """[H W] or [H W channels] of an image, in its own numbers."""
    with open_image(path) as image:
        return np.asarray(image)


def read_npy(path: Path) -> npt.NDArray[Any]:
    """One array of numpy's own format; neither a pickle nor an archive, and no larger than the file.

    Raises:
        ValueError: anything else.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an array file of version {version}")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.kind not in "biuf":
            raise ValueError(f"it holds {dtype}, not numbers")
        claimed, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
        if min(shape, default=0) < 0 or claimed > held:
            raise ValueError(f"its header claims {claimed} bytes, the file holds {held}")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
