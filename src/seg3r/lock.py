"""One writer for each place: a second run is told of the first, and a run that died is no obstacle.

The lock is a file, made so that only one can make it (O_EXCL, which network drives keep as well), that says who made
it: host, process, and when that process began. `flock` alone would not do: many network drives lack it, and it cannot
say who holds it. Where there is one, it makes taking over from the dead a matter of one process at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from seg3r.errors import InputError
from seg3r.text import clean_name

MAKING_S = 10.0
"""So old an empty lock is no longer being written."""
_HELD: ContextVar[frozenset[Path]] = ContextVar("places this thread writes to", default=frozenset())


class LockHolder(NamedTuple):
    """Who writes."""

    host: str
    pid: int
    began: int | None
    """When the process began, in the system's ticks: another process may have its number by now. None where the system
    does not tell."""
    since: str
    """Local time."""
    token: str
    """Of this lock alone."""

    @classmethod
    def here(cls) -> LockHolder:
        """This process, now."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _began(pid), time.strftime("%Y-%m-%d %H:%M:%S"), secrets.token_hex(8))

    def is_gone(self) -> bool:
        """Whether its process has certainly ended. Of one on another host nobody here can tell."""
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)  # sends nothing
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # it is there, and another user's
        began = _began(self.pid)
        return began is not None and self.began is not None and began != self.began


def beside(target: Path, ending: str) -> Path:
    """The hidden path `.NAME.ending` beside `target`; a name that leaves no room for it is shortened."""
    name = os.fsencode(target.name)
    if len(name) <= 200:
        return target.with_name(f".{target.name}.{ending}")
    return target.with_name(f".{target.name[:40]}~{hashlib.sha256(name).hexdigest()[:12]}.{ending}")


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """While the block runs, no other run may write to `out`: a lock lies beside it. Blocks of one thread may nest.

    Raises:
        InputError: another run writes there, or no lock can be made.
    """
    target = out.resolve()
    held = _HELD.get()
    if target in held:
        yield
        return
    lock, ours = beside(target, "lock"), LockHolder.here()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(target.parent):
            _take(lock, ours, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
    mark = _HELD.set(held | {target})
    try:
        yield
    finally:
        _HELD.reset(mark)
        if os.getpid() == ours.pid and _read(lock) == ours:  # not in a forked child, nor the lock of who came after
            lock.unlink(missing_ok=True)


def _take(lock: Path, ours: LockHolder, out: Path) -> None:
    """Make the lock, taking it over from the dead."""
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            _clear(lock, out)
            continue
        try:
            os.write(handle, json.dumps(ours._asdict()).encode("ascii"))
        except OSError:
            lock.unlink()
            raise
        finally:
            os.close(handle)
        return


def _clear(lock: Path, out: Path) -> None:
    """Remove the lock of a run that has ended.

    Raises:
        InputError: it has not, or nobody can tell.
    """
    if lock.is_dir():
        raise InputError(f"{out}: the folder {lock} is in the way; remove it")
    holder = _read(lock)
    if holder is None:
        try:
            fresh = time.time() - lock.stat().st_mtime < MAKING_S
        except FileNotFoundError:
            return  # its run has ended just now
        if fresh:
            raise InputError(f"another run begins to write to {out}; wait for its end or name another place")
    elif not holder.is_gone():
        who = f"another run (pid {holder.pid}{{}}, since {holder.since}) writes to {out}; "
        if holder.host != socket.gethostname():
            raise InputError(who.format(f" on {holder.host}") + f"if it is gone, remove {lock}")
        raise InputError(who.format("") + "wait for its end or name another place")
    lock.unlink(missing_ok=True)


def _read(lock: Path) -> LockHolder | None:
    """None where there is no lock, or one that says nothing: half written, or cut by a power failure."""
    try:
        stored = json.loads(lock.read_bytes()[:10_000])
        holder = LockHolder(**stored)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    words = (clean_name(word) if isinstance(word, str) else None for word in (holder.host, holder.since, holder.token))
    host, since, token = words
    if host is None or since is None or token is None or type(holder.pid) is not int or holder.pid <= 0:
        return None
    return LockHolder(host, holder.pid, holder.began if type(holder.began) is int else None, since, token)


def _began(pid: int) -> int | None:
    """Start time of a process in ticks since the system's own; 0 of one that has ended and awaits its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None  # no /proc here


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Processes of this machine enter one after the other, where the file system knows how."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # A network drive may lack it: making the lock is safe all the same, taking over from the dead nearly so.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
