"""The command line. Only what parses words stands here, so that `--help` answers at once; the work is in `api`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from seg3r.cli.answer import Ask
from seg3r.cli.learn import Train, weights
from seg3r.cli.make import Demo, Info, Rooms, Run, Superpoints
from seg3r.cli.measure import evaluate
from seg3r.cli.terminal import fail

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": Demo, "run": Run, "ask": Ask, "evaluate": evaluate, "train": Train, "weights": weights,
    "superpoints": Superpoints, "rooms": Rooms, "info": Info,
}


def main(words: Sequence[str] | None = None) -> None:
    """Parse, run, and turn every error a user can mend into one line and a non-zero exit."""
    given = _with_json_target(list(sys.argv[1:] if words is None else words))
    command: Any = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="seg3r", args=given,
        description="Online 3D maps of object instances from RGB or RGB-D video.",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    from seg3r.errors import InputError, MissingExtraError

    try:
        command()
    except (InputError, MissingExtraError, OSError) as error:
        fail(f"{error}", 2)
    except KeyboardInterrupt:
        fail("interrupted; the same command with --resume goes on where it stopped", 130)


def _with_json_target(words: list[str]) -> list[str]:
    """`--json` without a file means standard output."""
    out: list[str] = []
    for i, word in enumerate(words):
        out.append(word)
        if word == "--json" and (i + 1 == len(words) or words[i + 1].startswith("--")):
            out.append("-")
    return out
