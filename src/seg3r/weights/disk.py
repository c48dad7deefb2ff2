"""Weights on this disk: where they lie, and whether they are whole. Pickles are not touched.

They lie in $SEG3R_WEIGHTS/<name> where that variable is set, and are looked for in the Hugging Face cache too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg3r.errors import InputError
from seg3r.files import write_json
from seg3r.reading import DAMAGED
from seg3r.weights.registry import REGISTRY, entry

HOME = "SEG3R_WEIGHTS"
MANIFEST = "weights.json"
"""Written beside fetched weights: repository, commit, licence, and the sha256 of every file."""
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".msgpack", ".h5"}
CHUNK = 1 << 22


def where(name: str) -> Path:
    """Folder of complete weights on this disk.

    Raises:
        InputError: no such name, or not on this disk.
    """
    known, folder = entry(name), present(name)
    if folder is None:
        half = "not" if _found(name) is None else "only half"
        raise InputError(
            f"the weights '{name}' are {half} on this disk: run `seg3r weights fetch {name}` (about {known.megabytes} "
            f"MB, {known.licence}), or use `--preset bundled`, which works offline"
        )
    return folder


def present(name: str) -> Path | None:
    """The folder, or None where some of it is not on this disk.

    Raises:
        InputError: no such name.
    """
    entry(name)
    folder = _found(name)
    return None if folder is None or lacking(folder) else folder


def listed() -> list[dict[str, Any]]:
    """What can be fetched, and what of it is on this disk."""
    return [
        {"name": name, "use": known.use, "licence": known.licence, "megabytes": known.megabytes, "repo": known.repo,
         "gated": known.gated, "here": present(name) is not None}
        for name, known in REGISTRY.items()
    ]


def folder_of(source: str | Path) -> Path:
    """A name of the registry, or a folder with weights in the Hugging Face format -> that folder.

    Raises:
        InputError: neither; or no config.json or safetensors in it.
    """
    if isinstance(source, str) and source in REGISTRY:
        return where(source)
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{source}: neither a folder nor a name that `seg3r weights list` knows")
    if gone := lacking(folder):
        raise InputError(f"{folder}: no {gone[0]} here; give a folder of safetensors in the Hugging Face format")
    return folder


def lacking(folder: Path) -> tuple[str, ...]:
    """Files without which no model can be built from the folder."""
    needed = ["config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            needed += sorted({str(name) for name in parts})
        except DAMAGED:
            needed.append("model.safetensors.index.json that can be read")
    else:
        needed.append("model.safetensors")
    return tuple(name for name in needed if not (folder / name).is_file())


def place(name: str) -> Path:
    """Where converted weights of the registry go.

    Raises:
        InputError: no such name, or $SEG3R_WEIGHTS is not set.
    """
    entry(name)
    root = home()
    if root is None:
        raise InputError(f"set {HOME} to the folder where '{name}' shall live")
    return root / name


def describe(folder: Path) -> None:
    """Beside converted weights: a config that says nothing, for the sizes of the release."""
    if not (folder / "config.json").is_file():
        write_json(folder / "config.json", {})


def _found(name: str) -> Path | None:
    """The first folder that holds some of these weights; a complete one before a half."""
    root, known = home(), REGISTRY[name]
    places = [root / name] if root is not None else []
    cached = None if known.page is not None else _cached(known.repo, known.revision, "config.json")
    places += [cached.parent] if cached is not None else []
    places = [p for p in places if p.is_dir()]
    return next((p for p in places if not lacking(p)), places[0] if places else None)


def home() -> Path | None:
    """$SEG3R_WEIGHTS."""
    named = os.environ.get(HOME)
    return Path(named).expanduser() if named else None


@dataclass(frozen=True)
class Report:
    """What `check` saw."""

    name: str
    folder: Path | None
    """None: not on this disk."""
    bytes: int
    commit: str | None
    """Of the repository; None where nothing tells."""
    proven: int
    """Files whose sha256 was recomputed and agrees."""
    problems: tuple[str, ...]


def check(name: str) -> Report:
    """Look at every file again, offline: is all there, whole, and the same as when it was fetched?

    Raises:
        InputError: no such name.
    """
    entry(name)
    folder = _found(name)
    if folder is None:
        return Report(name, None, 0, None, 0, ())
    problems = [f"{gone} is missing" for gone in lacking(folder)]
    fetched = manifest(folder)
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    proven = 0
    for path in files:
        if path.suffix in PICKLE_SUFFIXES:
            problems.append(f"{path.name} is a pickle, or may be: nothing here reads it; delete it")
            continue
        if path.suffix == ".safetensors" and (flaw := _flaw(path)):
            problems.append(f"{path.name} {flaw}")
            continue
        blob = path.resolve().name  # the cache calls a large file by its sha256
        expected = fetched["files"].get(path.name) or (blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None)
        if expected is None:
            continue
        if digest_of(path, hashlib.sha256()) != expected:
            problems.append(f"{path.name} is not what was fetched (sha256 differs); fetch it again")
        else:
            proven += 1
    problems += [f"{gone} is missing" for gone in fetched["files"] if not (folder / gone).is_file()]
    commit = fetched["commit"] or (folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None)
    total = sum(p.stat().st_size for p in files)
    return Report(name, folder, total, commit, proven, tuple(dict.fromkeys(problems)))


def manifest(folder: Path) -> dict[str, Any]:
    """Commit and checksums of fetched weights; none where nothing tells."""
    try:
        read = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {"commit": str(read["commit"]), "files": {str(k): str(v) for k, v in read["files"].items()}}
    except DAMAGED:
        return {"commit": None, "files": {}}


def _flaw(path: Path) -> str | None:
    """What is wrong with a safetensors file, from its header and its length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return "is cut short"
        try:
            header = json.loads(file.read(length))
            end = max((int(v["data_offsets"][1]) for k, v in header.items() if k != "__metadata__"), default=0)
        except DAMAGED:
            return "is not a safetensors file"
    return None if size == 8 + length + end else "is cut short" if size < 8 + length + end else "has a tail"


def digest_of(path: Path, digest: Any) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return str(digest.hexdigest())


def _cached(repo: str, revision: str, file: str) -> Path | None:
    """Where the cache has it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None
