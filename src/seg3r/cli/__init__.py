"""The command line. Only what parses words stands here, so that `--help` answers at once; the work is in `api`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from seg3r.cli.answer import Ask
from seg3r.cli.checks import (
    as_flags,
    check_json,
    expanded,
    reading_numbers,
    refuse_flags_of_others,
    split_words,
)
from seg3r.cli.learn import TRAININGS, train, weights
from seg3r.cli.make import Demo, Info, Rooms, Superpoints
from seg3r.cli.measure import evaluate
from seg3r.cli.run import Run, read_run
from seg3r.cli.terminal import fail, say
from seg3r.errors import InputError, MissingExtraError

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo, "run": Run, "ask": Ask, "evaluate": evaluate, "train": train, "weights": weights,
    "superpoints": Superpoints, "rooms": Rooms, "info": Info,
}
RENAMED = {("train", "moonseg3r"): ("train", "query-refiner")}
"""Older names of commands."""
BROKEN_PIPE = 141
"""What a shell says of a program whose reader went away (128 + SIGPIPE)."""


def main(words: Sequence[str] | None = None) -> None:
    """Parse, run, and turn every error a user can mend into one line and a non-zero exit."""
    try:
        try:
            _main(_with_json_target(list(sys.argv[1:] if words is None else words)))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head -1`: nobody is there to be told
        _hush()
        sys.exit(BROKEN_PIPE)


def _main(words: list[str]) -> None:
    if words == ["--version"]:
        from importlib.metadata import version

        say(f"seg3r {version('seg3r')}")
        return
    command: Any = None
    try:
        command = expanded(parse_command(words))
        check_json(getattr(command, "json", None))
        command()
    except BrokenPipeError:
        raise
    except (InputError, MissingExtraError) as error:
        fail(as_flags(f"{error}", command), 2)
    except OSError as error:
        fail(f"{error}", 2)
    except KeyboardInterrupt:
        fail("interrupted; the same command with --resume goes on where it stopped", 130)
    except Exception as error:
        if (reason := _beyond_means(error)) is None:
            raise
        fail(reason, 2)


def parse_command(words: Sequence[str]) -> Any:
    """The command that these words ask for, a callable dataclass; nothing of it has run.

    Raises:
        InputError: words that do not go together. (Of those that are none, the parser says so itself and exits.)
    """
    words = [*RENAMED.get((words[0], words[1]), words[:2]), *words[2:]] if len(words) > 1 else words
    if words and words[0] == "run":
        return read_run(words[1:])
    if len(words) > 1 and words[0] == "train" and words[1] in TRAININGS:
        refuse_flags_of_others(split_words(words, TRAININGS.values())[1], "seg3r train", words[1], TRAININGS)
    with reading_numbers():
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="seg3r", args=list(words),
            description="Online 3D maps of object instances from RGB or RGB-D video.",
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
        )


def _beyond_means(error: Exception) -> str | None:
    """What a machine had too little of, in one line; None: something else is wrong."""
    from safetensors import SafetensorError

    out_of_memory = getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)
    if isinstance(error, (MemoryError, out_of_memory)) or "can't allocate memory" in f"{error}":
        return f"out of memory ({str(error) or type(error).__name__}); take fewer frames (--every) or smaller images"
    if isinstance(error, RecursionError):
        return f"a file is nested too deeply to be read ({error})"
    if isinstance(error, SafetensorError):  # a full disk, for one: it is no OSError
        return f"tensors cannot be read or written ({error}); is the disk full, or a file damaged?"
    return None


def _hush() -> None:
    """What is still to be written goes nowhere, at the interpreter's end too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _with_json_target(words: list[str]) -> list[str]:
    """`--json` without a file means standard output."""
    out: list[str] = []
    for i, word in enumerate(words):
        out.append(word)
        if word == "--json" and (i + 1 == len(words) or words[i + 1].startswith("--")):
            out.append("-")
    return out
