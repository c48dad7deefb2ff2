"""What is looked at before a command begins its work, and how an error of the library reads on a command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields, is_dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from tyro.conf import FlagCreatePairsOff, Positional

from seg3r.errors import InputError


def at_least(least: int, **given: int | None) -> None:
    """Raise InputError for the first number below `least`, by the flag of its name; None passes."""
    for name, value in given.items():
        if value is not None and value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}: counted from {least}")


def check_json(target: str | None) -> None:
    """Raise InputError unless JSON can be written there; `-` is standard output."""
    if target is not None and target != "-":
        from seg3r.files import check_file

        check_file(_at_home(Path(target)))


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: nobody has this home folder; name another place") from error


def expanded(command: Any) -> Any:
    """A dataclass with the `~` of all its paths expanded, for shells that leave it as it is (in quotes)."""
    changes: dict[str, Any] = {}
    for field in fields(command):
        value = getattr(command, field.name)
        if isinstance(value, Path):
            changes[field.name] = _at_home(value)
        elif is_dataclass(value):
            changes[field.name] = expanded(value)
    return replace(command, **changes)


def flags_of(command: type) -> Iterator[tuple[str, int]]:
    """Every flag of a command's dataclass, aliases and numbers of its configs included, and how many words it takes."""
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from flags_of(hint)  # type: ignore[arg-type]
            continue
        about = getattr(hint, "__metadata__", ())
        if Positional in about:
            continue
        for name in (field.name, *(alias for each in about for alias in getattr(each, "aliases", None) or ())):
            flag = f"--{name.lstrip('-').replace('_', '-')}"
            yield flag, _words_of(hint)
            if _bare(hint) is bool and FlagCreatePairsOff not in about:
                yield flag.replace("--", "--no-", 1), 0


def _bare(hint: Any) -> Any:
    """A type without what tyro is told about it."""
    return _bare(get_args(hint)[0]) if hasattr(hint, "__metadata__") else hint


def _words_of(hint: Any) -> int:
    kinds = [k for k in get_args(_bare(hint)) if k is not type(None)] or [_bare(hint)]
    if kinds[0] is bool:
        return 0
    return len(get_args(kinds[0])) if get_origin(kinds[0]) is tuple else 1


def split_words(words: Sequence[str], commands: Iterable[type]) -> tuple[list[int], dict[str, str]]:
    """Where the words lie that belong to no flag; and each flag with the words behind it that it takes.

    Args:
        commands: whose flags they may be.
    """
    flags = {flag: count for command in commands for flag, count in flags_of(command)}
    positions: list[int] = []
    given: dict[str, str] = {}
    i = 0
    while i < len(words):
        if words[i].startswith("--"):
            flag, equals, value = words[i].partition("=")
            flag = flag.replace("_", "-")
            taken = 0 if equals else flags.get(flag, 0)
            given[flag] = value if equals else " ".join(words[i + 1 : i + 1 + taken])
            i += taken
        elif words[i] == "-" or not words[i].startswith("-"):
            positions.append(i)
        i += 1
    return positions, given


def refuse_flags_of_others(given: Iterable[str], program: str, name: str, family: Mapping[str, type]) -> None:
    """Raise InputError for a flag that is none of the command `name` of a family but of another one in it."""
    own = dict(flags_of(family[name]))
    for flag in given:
        for other, command in family.items():
            if flag not in own and flag in dict(flags_of(command)):
                raise InputError(
                    f"{flag}: belongs to {other}, not to {name}; `{program} {name} --help` lists what does"
                )


@contextmanager
def reading_numbers() -> Iterator[None]:
    """Around a parser that boxes what a config refuses as it does a misspelt flag: the config's own line comes through.

    Raises:
        InputError: a number of a config that none can be, by its flag.
    """
    boxed = StringIO()
    try:
        with redirect_stderr(boxed):
            yield
    except SystemExit as stop:
        cause: BaseException | None = stop
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            sys.stderr.write(boxed.getvalue())
            raise
        name, colon, rest = str(cause).partition(": ")
        raise InputError(f"--{name.replace('_', '-')}{colon}{rest}") from cause


def as_flags(message: str, command: Any) -> str:
    """An error of the library, which names an argument, as one of the command line, which names a flag.

    Args:
        command: what was asked for; its `flag_names`, where it has them, say which flags bear another name than the
            arguments they become.
    """
    found = re.match(r"(?P<argument>[a-z][a-z0-9_]*)(?P<value>=\S+)?: ", message)
    if found is None or not is_dataclass(command):
        return message
    name, given = str(found["argument"]), found["value"]
    flag = f"--{getattr(command, 'flag_names', {}).get(name, name).replace('_', '-')}"
    if flag not in dict(flags_of(type(command))):
        return message
    value = "" if given is None else f" {given[1:]}"
    return f"{flag}{value}: {message[found.end() :]}"
