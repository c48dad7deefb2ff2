"""One reader, many damaged copies of its files: what came out, and whether a person would have been served."""

from __future__ import annotations

import logging
import resource
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from seg3r.errors import InputError, MissingExtraError
from seg3r.text import printable
from tests.fuzzing.mutate import Files, mutate

LIMIT_S = 10.0
"""A case that takes longer hangs."""
LIMIT_BYTES = 600 << 20
"""More memory than this for a file of a few kilobytes is a bomb that went off."""
LONGEST_LINE = 2000


@dataclass(frozen=True)
class Reader:
    """Who reads, and what it reads."""

    name: str
    write: Callable[[Path], object]
    """A small sound sample into an empty folder."""
    read: Callable[[Path], object]
    """Reads it, and uses what it read as the product would."""
    share: float = 1.0
    """Of the cases: less for a reader that takes long."""


@dataclass(frozen=True)
class Fault:
    """A case that neither gave a result nor one line."""

    case: int
    why: str
    where: str = ""


@dataclass
class Tally:
    """Of one reader."""

    tried: int = 0
    refused: int = 0
    """With a line."""
    faults: list[Fault] = field(default_factory=list)


class Hang(BaseException):
    """Out of time: no reader may catch it."""


def attack(reader: Reader, cases: int, seed: int, folder: Path, first: int = 0) -> Tally:
    """Let a reader read damaged copies of its sample. The same seed damages alike, case by case.

    Args:
        folder: an empty place to work in.
        first: number of the first case.
    """
    root = folder / "sample"
    root.mkdir()
    reader.write(root)
    whole = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    reader.read(root)  # a sample that cannot be read would make every case pass
    tally = Tally()
    for case in range(first, first + max(1, int(cases * reader.share))):
        damaged = mutate(whole, Random(f"{seed} {reader.name} {case}"))
        _sync(root, whole, damaged)
        before = _most_memory()
        try:
            refused, why, where = _judged(lambda: reader.read(root))
        finally:
            _sync(root, damaged, whole)
        tally.tried += 1
        tally.refused += refused
        grown = _most_memory() - before
        if not why and grown > LIMIT_BYTES:
            why = f"took {grown >> 20} MiB"
        if why:
            tally.faults.append(Fault(case, why, where))
    shutil.rmtree(root)
    return tally


def damaged_sample(reader: Reader, seed: int, case: int, folder: Path) -> None:
    """Write the files of one case, to look at."""
    reader.write(folder)
    whole = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    _sync(folder, whole, mutate(whole, Random(f"{seed} {reader.name} {case}")))


def _judged(read: Callable[[], object]) -> tuple[bool, str, str]:
    """(refused with a line, what was wrong, where)."""
    heard: list[str] = []
    try:
        with _listening(heard), _deadline(LIMIT_S):
            read()
    except (InputError, MissingExtraError) as error:
        line = str(error)
        odd = not line or len(line) > LONGEST_LINE or line != printable(line)
        return True, f"no plain line: {line[:200]!r}" if odd else "; ".join(heard), ""
    except Hang as error:
        return False, "hangs", _place_of(error)
    except Exception as error:  # that is what is looked for
        return False, f"{type(error).__name__}: {str(error)[:200]}", _place_of(error)
    return False, "; ".join(heard), ""


@contextmanager
def _listening(heard: list[str]) -> Iterator[None]:
    """What would have been written to a terminal beside the line: warnings, and logged warnings."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"logs {record.getMessage()[:100]!r}")

    ear = Ear(logging.WARNING)
    logging.getLogger().addHandler(ear)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, category, file, line, *_: heard.append(  # type: ignore[assignment]
                f"warns {category.__name__}: {str(message)[:100]} ({Path(file).name}:{line})"
            )
            yield
    finally:
        logging.getLogger().removeHandler(ear)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _most_memory() -> int:
    """The most bytes this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _place_of(error: BaseException) -> str:
    """The last frame within the package."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/src/seg3r/" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _sync(root: Path, there: Mapping[str, bytes], wanted: Files) -> None:
    for name in there.keys() - wanted.keys():
        (root / name).unlink()
    for name, content in wanted.items():
        if there.get(name) != content:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
