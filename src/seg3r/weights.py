"""Names of foundation weights -> folders on this disk. The only file that downloads; pickles are not touched.

Weights lie in $SEG3R_WEIGHTS/<name> where that variable is set, and are looked for in the Hugging Face cache too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg3r.errors import InputError

HOME = "SEG3R_WEIGHTS"
MANIFEST = "weights.json"
"""Written beside fetched weights: repository, commit, licence, and the sha256 of every file."""
TEXT_SUFFIXES = {".json", ".txt", ".model", ".jinja"}
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".msgpack", ".h5"}
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
CHUNK = 1 << 22


@dataclass(frozen=True)
class Entry:
    """One set of weights on the Hugging Face hub."""

    repo: str
    use: str
    """detect, segment, embed, reconstruct, image-text or chat."""
    licence: str
    """Of the weights; "see the model card" where the repository names none."""
    megabytes: int
    """About; what a fetch takes on disk."""
    gated: bool = False
    """The hub hands it out after its licence was accepted, to who is logged in."""
    revision: str = "main"
    page: str | None = None
    """Where its authors hand out a pickle, no safetensors: the user downloads that and converts it."""
    file: str = ""
    """What it is called there."""


_APACHE = "Apache-2.0"
_SAM3, _DINOV3 = "SAM License (Meta)", "DINOv3 License (Meta)"
_QWEN = "Qwen Research License (non-commercial)"

REGISTRY: Mapping[str, Entry] = {
    "grounding-dino-tiny": Entry("IDEA-Research/grounding-dino-tiny", "detect", _APACHE, 690),
    "grounding-dino-base": Entry("IDEA-Research/grounding-dino-base", "detect", _APACHE, 940),
    "mm-grounding-dino-tiny": Entry(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", "detect", _APACHE, 700
    ),
    "mm-grounding-dino-base": Entry("openmmlab-community/mm_grounding_dino_base_all", "detect", _APACHE, 940),
    "mm-grounding-dino-large": Entry("openmmlab-community/mm_grounding_dino_large_all", "detect", _APACHE, 1400),
    "owlv2-base": Entry("google/owlv2-base-patch16-ensemble", "detect", _APACHE, 620),
    "owlv2-large": Entry("google/owlv2-large-patch14-ensemble", "detect", _APACHE, 1750),
    "sam2.1-tiny": Entry("facebook/sam2.1-hiera-tiny", "segment", _APACHE, 160),
    "sam2.1-small": Entry("facebook/sam2.1-hiera-small", "segment", _APACHE, 190),
    "sam2.1-base": Entry("facebook/sam2.1-hiera-base-plus", "segment", _APACHE, 330),
    "sam2.1-large": Entry("facebook/sam2.1-hiera-large", "segment", _APACHE, 900),
    "sam3": Entry("facebook/sam3", "segment", _SAM3, 3500, gated=True),
    "sam-base": Entry("facebook/sam-vit-base", "segment", _APACHE, 380),
    "sam-large": Entry("facebook/sam-vit-large", "segment", _APACHE, 1250),
    "sam-huge": Entry("facebook/sam-vit-huge", "segment", _APACHE, 2600),
    "dinov2-small": Entry("facebook/dinov2-small", "embed", _APACHE, 90),
    "dinov2-base": Entry("facebook/dinov2-base", "embed", _APACHE, 350),
    "dinov2-large": Entry("facebook/dinov2-large", "embed", _APACHE, 1220),
    "dinov3-small": Entry("facebook/dinov3-vits16-pretrain-lvd1689m", "embed", _DINOV3, 90, gated=True),
    "dinov3-base": Entry("facebook/dinov3-vitb16-pretrain-lvd1689m", "embed", _DINOV3, 350, gated=True),
    "dinov3-large": Entry("facebook/dinov3-vitl16-pretrain-lvd1689m", "embed", _DINOV3, 1220, gated=True),
    "cut3r-512": Entry(
        "CUT3R/CUT3R", "reconstruct", "CC BY-NC-SA 4.0 (non-commercial)", 2980,
        page="the README of github.com/CUT3R/CUT3R", file="cut3r_512_dpt_4_64.pth",
    ),
    "siglip2-base": Entry("google/siglip2-base-patch16-224", "image-text", _APACHE, 1550),
    "siglip2-so400m": Entry("google/siglip2-so400m-patch14-384", "image-text", _APACHE, 4600),
    "clip-base": Entry("openai/clip-vit-base-patch32", "image-text", "MIT", 610),
    "clip-large": Entry("openai/clip-vit-large-patch14", "image-text", "MIT", 1720),
    "qwen2.5-vl-3b": Entry("Qwen/Qwen2.5-VL-3B-Instruct", "chat", _QWEN, 7600),
    "qwen2.5-vl-7b": Entry("Qwen/Qwen2.5-VL-7B-Instruct", "chat", _APACHE, 16700),
    "qwen3-vl-2b": Entry("Qwen/Qwen3-VL-2B-Instruct", "chat", _APACHE, 4300),
    "qwen3-vl-4b": Entry("Qwen/Qwen3-VL-4B-Instruct", "chat", _APACHE, 8900),
    "qwen3-vl-8b": Entry("Qwen/Qwen3-VL-8B-Instruct", "chat", _APACHE, 17600),
}


def entry(name: str) -> Entry:
    """What is known of `name`.

    Raises:
        InputError: no such name.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"no weights are called '{name}'{hint} (`seg3r weights list` names all)")
    return REGISTRY[name]


# ---- on this disk ----------------------------------------------------------------------------------------------------


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
            needed += sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError):
            needed.append("model.safetensors.index.json that can be read")
    else:
        needed.append("model.safetensors")
    return tuple(name for name in needed if not (folder / name).is_file())


def _found(name: str) -> Path | None:
    """The first folder that holds some of these weights; a complete one before a half."""
    home, known = _home(), REGISTRY[name]
    places = [home / name] if home is not None else []
    cached = None if known.page is not None else _cached(known.repo, known.revision, "config.json")
    places += [cached.parent] if cached is not None else []
    places = [p for p in places if p.is_dir()]
    return next((p for p in places if not lacking(p)), places[0] if places else None)


def _home() -> Path | None:
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
    manifest = _manifest(folder)
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
        expected = manifest["files"].get(path.name) or (blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None)
        if expected is None:
            continue
        if _digest(path, hashlib.sha256()) != expected:
            problems.append(f"{path.name} is not what was fetched (sha256 differs); fetch it again")
        else:
            proven += 1
    problems += [f"{gone} is missing" for gone in manifest["files"] if not (folder / gone).is_file()]
    commit = manifest["commit"] or (folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None)
    total = sum(p.stat().st_size for p in files)
    return Report(name, folder, total, commit, proven, tuple(dict.fromkeys(problems)))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        read = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {"commit": str(read["commit"]), "files": {str(k): str(v) for k, v in read["files"].items()}}
    except (OSError, ValueError, KeyError, AttributeError):
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
            end = max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return "is not a safetensors file"
    return None if size == 8 + length + end else "is cut short" if size < 8 + length + end else "has a tail"


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return str(digest.hexdigest())


# ---- from the hub ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remote:
    """A file of a repository, as the hub describes it."""

    name: str
    sha256: str | None
    """Of files in large-file storage."""
    git_sha1: str | None
    """Of the others: sha1 of git's header and the content."""


def fetch(name: str) -> Path:
    """Download weights, verify every file against the hub's own metadata, and only then let them be found.

    Only safetensors, json, txt and tokenizer files are taken. Into $SEG3R_WEIGHTS/<name> where that is set, else into
    the Hugging Face cache. Interrupted, it goes on where it stopped. Returns the folder.

    Raises:
        InputError: no such name; the hub does not answer, or refuses; only pickles there; a file came damaged.
    """
    known = entry(name)
    if known.page is not None:
        raise InputError(
            f"'{name}' is handed out as a pickle only: download {known.file} by way of {known.page}, set {HOME} to a "
            f"folder, and run `seg3r weights convert {known.file} --name {name}`"
        )
    home = _home()
    with _mendable(name, known):
        commit, listed = _listing(known.repo, known.revision)
        files = _wanted(known.repo, listed)
        if home is None:
            paths = {f.name: _download(known.repo, f.name, known.revision, None) for f in files}
            for f in files:
                _verify(known.repo, f, paths[f.name])
            return paths["config.json"].parent
        target, staging = home / name, home / f".{name}.part"
        if not _other(target, commit):
            return target
        staging.mkdir(parents=True, exist_ok=True)
        digests = {}
        for f in files:
            digests[f.name] = _verify(known.repo, f, _download(known.repo, f.name, commit, staging))
        for stray in staging.iterdir():
            if stray.is_dir():
                shutil.rmtree(stray)
            elif stray.name not in digests:
                stray.unlink()
        about = {"repo": known.repo, "commit": commit, "licence": known.licence, "files": digests}
        (staging / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        old = home / f".{name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.replace(old)
        staging.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def place(name: str) -> Path:
    """Where converted weights of the registry go.

    Raises:
        InputError: no such name, or $SEG3R_WEIGHTS is not set.
    """
    entry(name)
    home = _home()
    if home is None:
        raise InputError(f"set {HOME} to the folder where '{name}' shall live")
    return home / name


def describe(folder: Path) -> None:
    """Beside converted weights: a config that says nothing, for the sizes of the release."""
    if not (folder / "config.json").is_file():
        (folder / "config.json").write_text("{}\n", encoding="utf-8")


def _other(folder: Path, commit: str) -> bool:
    """Not complete, or of another commit."""
    return not folder.is_dir() or bool(lacking(folder)) or _manifest(folder)["commit"] != commit


def _wanted(repo: str, files: Iterable[Remote]) -> list[Remote]:
    """Texts, and one copy of the weights as safetensors; of the top folder only."""
    top = {f.name: f for f in files if "/" not in f.name}
    weights = [n for n in top if n == "model.safetensors"] or sorted(n for n in top if SHARD.fullmatch(n))
    if not weights:
        pickles = sorted(n for n in top if Path(n).suffix in PICKLE_SUFFIXES)
        only = f"only {', '.join(pickles)}, and pickles can run code" if pickles else "no weights"
        raise InputError(f"{repo}: no safetensors on the hub, {only}; choose other weights")
    if "config.json" not in top:
        raise InputError(f"{repo}: no config.json on the hub; choose other weights")
    texts = [n for n in top if Path(n).suffix in TEXT_SUFFIXES and n != MANIFEST and ".bin." not in n]
    if weights == ["model.safetensors"]:
        texts = [n for n in texts if n != "model.safetensors.index.json"]
    return [top[n] for n in sorted(texts) + weights]  # small ones first: a refusal comes early


def _verify(repo: str, remote: Remote, path: Path) -> str:
    """sha256 of the file.

    Raises:
        InputError: it is not the file the hub describes; it is deleted.
    """
    sha256 = _digest(path, hashlib.sha256())
    if remote.sha256 is not None:
        same = sha256 == remote.sha256
    elif remote.git_sha1 is not None:
        header = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        same = _digest(path, header) == remote.git_sha1
    else:
        raise InputError(f"{repo}: the hub gives no checksum of {remote.name}; nothing was installed")
    if not same:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise InputError(f"{repo}: {remote.name} came damaged (checksum differs) and was deleted; fetch again")
    return sha256


@contextmanager
def _mendable(name: str, known: Entry) -> Iterator[None]:
    """What the hub's client raises -> one line."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    # Its bases hold the root of the errors of whatever HTTP library this version of the client stands on.
    unreachable: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            f"'{name}' is handed out under the {known.licence}: accept it on the page of {known.repo} on the Hugging "
            "Face hub, log in with `hf auth login`, and fetch again"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"'{name}': the hub has no {known.repo}, or hides it; `hf auth login` may help") from error
    except unreachable as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"'{name}' could not be fetched ({lines[0]}); try again with a network and free disk, or use "
            "`--preset bundled`, which works offline"
        ) from error


def _listing(repo: str, revision: str) -> tuple[str, list[Remote]]:
    """Commit, and every file of it."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = [
        Remote(s.rfilename, s.lfs.sha256 if s.lfs is not None else None, None if s.lfs else s.blob_id)
        for s in info.siblings or []
    ]
    return str(info.sha), files


def _download(repo: str, file: str, revision: str, folder: Path | None) -> Path:
    """Into the folder, or into the cache."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo, file, revision=revision, local_dir=folder))


def _cached(repo: str, revision: str, file: str) -> Path | None:
    """Where the cache has it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None
