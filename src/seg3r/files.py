"""The one place where files are written: whole or not at all.

Content goes under a temporary name in the same folder, is flushed to the disk, gets the permissions that any new file
would have, and takes its place by a rename. A power failure leaves the old content or the new one, never a half.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seg3r.errors import InputError
from seg3r.lock import beside, sole_writer

_TEMPORARY = re.compile(r"[0-9a-f]{8}\.(tmp(\.\w+)?|new|old)")
"""How names end under which `replacing` and `replace_folder` work: `.NAME.HEX.tmp` a file (some have a suffix more),
`.new` a folder being filled, `.old` a folder that steps aside."""


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes its place when the block ends well.

    Args:
        path: a file, there or not; its folder is made.
        suffix: of the temporary name, for writers that look at it (".npy").

    Raises:
        InputError: `path` is a folder or a device, or the disk said no.
    """
    _check_replaceable(path, path)
    temporary = beside(path, f"{secrets.token_hex(4)}.tmp{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some libraries write files that only their owner may read
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """`content`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """As UTF-8; what cannot be encoded becomes a question mark."""
    write_bytes(path, content.encode("utf-8", "replace"))


def write_json(path: Path, content: Any, indent: int | None = 2, sort_keys: bool = False) -> None:
    """As JSON that every reader takes: ASCII, no NaN, no infinity.

    Raises:
        InputError: the disk said no.
        ValueError: a number that JSON does not have.
    """
    text = json.dumps(content, indent=indent, sort_keys=sort_keys, allow_nan=False)
    write_bytes(path, (text + "\n").encode("ascii"))


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Tensors of PyTorch, or arrays of numpy, as safetensors.

    Args:
        metadata: of the file's header; with more than one key the bytes are not the same twice.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file as save_tensors

    arrays = all(isinstance(each, np.ndarray) for each in tensors.values())
    about = None if metadata is None else dict(metadata)
    with replacing(path) as temporary:
        try:
            if arrays:
                save_arrays({name: np.ascontiguousarray(each) for name, each in tensors.items()}, temporary, about)
            else:
                save_tensors({name: each.detach().contiguous() for name, each in tensors.items()}, temporary, about)
        except SafetensorError as error:  # a full disk, for one: it is no OSError
            raise InputError(f"{path}: cannot be written ({error})") from error


def replace_folder(out: Path, fill: Callable[[Path], None], content: tuple[str, ...] = ()) -> None:
    """Let `fill` write a folder that then takes the place of `out`. If it fails, `out` is as it was.

    What a writer that was killed left beside `out` is cleared first.

    Args:
        content: names that belong to what is replaced; all else that lay in `out` stays.

    Raises:
        InputError: another run writes to `out`, or the disk said no.
    """
    target, name = out.resolve(), secrets.token_hex(4)
    fresh, aside = beside(target, f"{name}.new"), beside(target, f"{name}.old")
    with sole_writer(out):
        clear_left_over(out, content)
        try:
            fresh.mkdir(parents=True)
            fill(fresh)
            for path in sorted(fresh.rglob("*")):
                flush(path)
            flush(fresh)
            _swap(fresh, target, aside, content)
            flush(target.parent)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, target: Path, aside: Path, content: tuple[str, ...]) -> None:
    """No file system renames one full folder over another: the old one steps aside for a moment."""
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(aside)
    try:
        fresh.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    _empty(aside, target, content)


def _empty(aside: Path, target: Path, content: tuple[str, ...]) -> None:
    """What others put into the folder that stepped aside moves over; the rest goes."""
    for entry in sorted(aside.iterdir()):
        if entry.name not in content and not os.path.lexists(target / entry.name):
            entry.rename(target / entry.name)
    shutil.rmtree(aside)


def clear_left_over(out: Path, content: tuple[str, ...] = ()) -> None:
    """Remove what writers of `out` that were killed left beside it; a folder that had stepped aside comes back.

    Args:
        content: as for `replace_folder`.

    Raises:
        InputError: another run writes to `out`, or the disk said no.
    """
    target = out.resolve()
    start = beside(target, "").name
    with sole_writer(out):
        try:
            for path in sorted(target.parent.iterdir()):
                ending = path.name.removeprefix(start)
                if not path.name.startswith(start) or not _TEMPORARY.fullmatch(ending) or path.is_symlink():
                    continue
                if path.is_dir() and ending.endswith(".old"):
                    if target.exists():
                        _empty(path, target, content)
                    else:
                        path.rename(target)
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error


def flush(path: Path) -> None:
    """To the disk itself: the content of a file, or the names in a folder (where the system knows how)."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_file(path: Path) -> None:
    """To be asked before the long work begins: may a file be written to `path`?

    Raises:
        InputError: it is a folder or a device, or nothing can be written there.
    """
    target = path.expanduser()
    if not target.name:
        raise InputError(f"{path}: a folder; name a file")
    _check_replaceable(path, target)
    check_writable(path, target.absolute().parent)


def _check_replaceable(path: Path, target: Path) -> None:
    """Raise InputError where no file may take the place of `target`: a folder, a device, or a name that stands for an
    open file (/dev/stdout), wherever that leads."""
    device = target.absolute().parent.resolve()
    stands_for = device == Path("/dev") or Path("/proc") in (device, *device.parents)
    if stands_for or (target.exists() and not target.is_file()):
        kind = "a folder" if target.is_dir() else "no regular file, and seg3r replaces none"
        raise InputError(f"{path}: {kind}; name a file")


def check_writable(path: Path, folder: Path) -> None:
    """Raise InputError unless something can be put into `folder`, or made on the way to it; `path` is what for."""
    above = folder
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{path}: {above} is a file; name another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {above}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
