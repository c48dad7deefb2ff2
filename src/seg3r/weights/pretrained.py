"""A folder of weights in the Hugging Face format -> a model of transformers; and one name for what the folder holds."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seg3r.errors import InputError, MissingExtraError
from seg3r.reading import DAMAGED, reading
from seg3r.weights import folder_of

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
            "models from a folder need transformers: pip install 'seg3r[models]'"
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
    with reading(path, "JSON", "fetch the file again"):
        content = json.loads(path.read_text(encoding="utf-8"))
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


def model(source: object, classes: Mapping[str, str], device: Any = "cpu") -> Any:
    """A model of transformers, ready to infer: float32, no gradients, on `device`.

    Args:
        source: name of the registry, folder, or the model itself.
        classes: `model_type` of its config -> class of transformers.
    Raises:
        InputError: no weights there, of another type, or not whole.
        MissingExtraError: transformers is not installed.
    """
    if isinstance(source, (str, Path)):
        built, origin = _built(folder_of(source), classes), str(source)
    else:
        built, origin = source, type(source).__name__
    _class_of(getattr(built, "config", None), classes, origin)
    return built.to(device).eval().requires_grad_(False)


def tokenizer(source: str | Path) -> Any:
    """The tokenizer beside the weights.

    Raises:
        InputError: none there, or one that cannot be read.
        MissingExtraError: transformers is not installed.
    """
    module, folder = transformers(), folder_of(source)
    try:
        with quiet(module):
            return module.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except DAMAGED as error:
        raise InputError(f"{folder}: no tokenizer can be read ({_first_line(error)}); fetch again") from error


def _built(folder: Path, classes: Mapping[str, str]) -> Any:
    module = transformers()
    try:
        with quiet(module):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            kind = getattr(module, _class_of(config, classes, str(folder)))
            built, loaded = kind.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype="float32", output_loading_info=True
            )
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{folder}: cannot be read ({_first_line(error)}); see `seg3r weights check`") from error
    # transformers would fill what is missing with random numbers, and only say so.
    if missing := sorted(loaded["missing_keys"]):
        raise InputError(f"{folder}: {len(missing)} tensors are missing, such as {missing[0]}; these are other weights")
    return built


def _class_of(config: Any, classes: Mapping[str, str], origin: str) -> str:
    kind = str(config.get("model_type") if isinstance(config, dict) else getattr(config, "model_type", None))
    if kind not in classes:
        raise InputError(f"{origin}: a model of type '{kind}'; expected {' or '.join(classes)}")
    return classes[kind]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
