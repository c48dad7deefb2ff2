"""Foundation weights from the Hugging Face hub. The only file that downloads; pickles are not touched."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seg3r.errors import InputError
from seg3r.files import write_json
from seg3r.weights.disk import HOME, MANIFEST, PICKLE_SUFFIXES, digest_of, home, lacking, manifest
from seg3r.weights.registry import Entry, entry

TEXT_SUFFIXES = {".json", ".txt", ".model", ".jinja"}
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


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
    root = home()
    with _mendable(name, known):
        commit, listed = _listing(known.repo, known.revision)
        files = _wanted(known.repo, listed)
        if root is None:
            paths = {f.name: _download(known.repo, f.name, known.revision, None) for f in files}
            for f in files:
                _verify(known.repo, f, paths[f.name])
            return paths["config.json"].parent
        target, staging = root / name, root / f".{name}.part"
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
        write_json(staging / MANIFEST, about, indent=1)
        old = root / f".{name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.replace(old)
        staging.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def _other(folder: Path, commit: str) -> bool:
    """Not complete, or of another commit."""
    return not folder.is_dir() or bool(lacking(folder)) or manifest(folder)["commit"] != commit


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
    sha256 = digest_of(path, hashlib.sha256())
    if remote.sha256 is not None:
        same = sha256 == remote.sha256
    elif remote.git_sha1 is not None:
        header = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        same = digest_of(path, header) == remote.git_sha1
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
