"""A folder of weights in the Hugging Face format, on this disk: what is in it, and one name for what it weighs."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seg3r.errors import InputError, MissingExtraError

SAFELY = {"local_files_only": True, "trust_remote_code": False}
"""How anything is loaded from a folder: without the network, and running no code that lies in it."""
BLOCKS, BLOCK_BYTES = 64, 1 << 16
"""So many blocks of so many bytes are read of each weight file: enough to tell two trainings apart, at any size."""


def transformers() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError(
            "CLIP-like and language models need transformers: pip install 'seg3r[models]'"
        ) from error


@contextmanager
def quiet(module: Any) -> Iterator[None]:
    """No progress bars and no advice of `transformers` inside."""
    logging = module.utils.logging
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def checked_folder(folder: Path) -> Path:
    """The same, if weights lie in it.

    Raises:
        InputError: no config.json or no *.safetensors.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; give a folder with a model in the Hugging Face format")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: no *.safetensors (pickled weights are not read); convert or download them")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """An object; {} where there is no file.

    Raises:
        InputError: not JSON, or not an object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); fetch the file again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; fetch the file again")
    return content


def fingerprint(folder: Path) -> str:
    """Name of the folder and 12 hex digits of its small files and of samples from its weights."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.jinja"), *folder.glob("*.safetensors")]):
        if path.name == "card.json":
            continue  # what is said about weights does not change them
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= BLOCKS * BLOCK_BYTES:
                digest.update(file.read())
                continue
            for block in range(BLOCKS):
                file.seek(block * (size - BLOCK_BYTES) // (BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
    return f"{folder.resolve().name}@{digest.hexdigest()[:12]}"
