"""What a command says, and how it reads common words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

from tyro.conf import FlagCreatePairsOff, arg

from seg3r.text import printable

JsonFile = Annotated[str | None, arg(metavar="FILE")]
Size = Annotated[str, arg(metavar="WxH")]
Switch = FlagCreatePairsOff[bool]
"""On where it is given; there is no --no- for it."""


class ProgressBar:
    """A bar on standard error: done, how many a second, and how many instances so far."""

    def __init__(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]:.1f}/s"),
            TimeRemainingColumn(), TextColumn("{task.fields[instances]} instances"), console=Console(stderr=True),
        )
        self._task = self._bar.add_task(what, total=total, instances=0, speed=0.0)

    def __enter__(self) -> Any:
        self._bar.start()
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tick(self, done: int, instances: int) -> None:
        speed = self._bar.tasks[0].speed or 0.0
        self._bar.update(self._task, completed=done, instances=instances, speed=speed)


class Steps:
    """A bar on standard error for work in several stages, each with its own count."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: Any = None
        self._stage = ""

    def __enter__(self) -> Any:
        self._bar.start()
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tick(self, what: str, done: int, total: int) -> None:
        stage = what.split(" (loss", maxsplit=1)[0]
        if stage != self._stage:
            self._stage, self._task = stage, self._bar.add_task(what, total=total)
        self._bar.update(self._task, description=what, completed=done)


def size(text: str) -> tuple[int, int]:
    """(H, W) of "WxH"."""
    from seg3r.errors import InputError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise InputError(f"--size {text}: expected WIDTHxHEIGHT, as in 320x240")
    return int(parts[1]), int(parts[0])


def emit(target: str | None, content: Mapping[str, Any]) -> None:
    import json

    from seg3r.files import write_json

    if target == "-":
        # JSON spells out all that steers a terminal but this one.
        for line in json.dumps(content, indent=2, default=str).replace("\x7f", r"\u007f").split("\n"):
            say(line)
    elif target is not None:
        write_json(Path(target).expanduser(), content)


def say_ap(answer: Mapping[str, Any]) -> None:
    values = {name: answer[name] for name in ("AP", "AP50", "AP25")}
    say(" ".join(f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in values.items()))


def say_table(content: Mapping[str, Any]) -> None:
    width = max(map(len, content), default=0)
    for name, value in content.items():
        say(f"{name:{width}}  {value}")


def counted_reasons(skipped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in skipped.items())


def say(line: str) -> None:
    """One line on standard output, whatever names and replies it holds."""
    _print(line, sys.stdout)


def fail(message: str, code: int) -> None:
    """One line on standard error, and the end."""
    _print(f"seg3r: {' '.join(message.split())}", sys.stderr)
    sys.exit(code)


def _print(line: str, stream: TextIO) -> None:
    """Nothing in it steers the terminal, and what the terminal cannot show is spelt out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
