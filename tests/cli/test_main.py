"""The command line as a program: light, quiet when nobody reads, one line where it cannot go on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from safetensors import SafetensorError

from seg3r.cli import COMMANDS, Run, main, parse_command
from seg3r.cli.run import RUNS
from tests.commands import refused
from tests.conftest import REPOSITORY

HEAVY = ("torch", "numpy", "numba", "scipy", "cv2", "PIL", "transformers", "jaxtyping")
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def in_a_process(*words: str, then: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys\nfrom seg3r.cli import main\ntry:\n    main(sys.argv[1:])\nfinally:\n    {then or 'pass'}"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [
    (), ("run",), ("run", "opentrack3d"), ("run", "moonseg3r"), ("train",), ("train", "query-refiner"),
    ("evaluate", "rooms"), ("ask",),
], ids=" ".join)
def test_help_answers_without_loading_anything_heavy(words: tuple[str, ...]) -> None:
    done = in_a_process(*words, "--help", then=f"sys.stderr.write(repr([m for m in {HEAVY} if m in sys.modules]))")
    assert done.stdout.startswith("usage: seg3r") and done.stderr == "[]", done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"seg3r {version('seg3r')}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "weights list --json", "weights list"])
def test_a_reader_that_goes_away_is_no_error(words: str, unbuffered: str) -> None:
    """Be it noticed at the first line, or when the interpreter ends."""
    script = f"set -o pipefail; {shlex.quote(sys.executable)} -m seg3r {words} | (exec 0<&-; sleep 0.1)"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, capture_output=True, text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory (MemoryError)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (SafetensorError("Error while serializing: No space left on device"), "No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_a_machine_lacks_is_one_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_means(self: object) -> None:
        raise error

    monkeypatch.setattr(COMMANDS["info"], "__call__", out_of_means)
    assert said in refused(capsys, "info", "anything")


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(self: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(COMMANDS["info"], "__call__", mistaken)
    with pytest.raises(KeyError, match="a mistake"):
        main(["info", "anything"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rooms", "--out", "o", "--frames", "0"), "--frames 0"),
        (("rooms", "--out", "o", "--seed", "-1"), "--seed -1"),
        (("rooms", "--out", "o", "--size", "0x0"), "--size 0x0"),
        (("rooms", "--out", "FILE/o"), "is a file"),
        (("demo", "--out", "o", "--seed", "-1"), "--seed -1"),
        (("demo", "--out", "FILE"), "a file"),
        (("demo", "--out", "o", "--json", "."), "name a file"),
        (("evaluate", "rooms", "--rooms", "0"), "--rooms 0"),
        (("evaluate", "rooms", "--frames", "0"), "--frames 0"),
        (("evaluate", "rooms", "--size", "0x0"), "--size 0x0"),
        (("evaluate", "rooms", "--start", "-1"), "--start -1"),
        (("evaluate", "rooms", "--device", "nope"), "--device: 'nope'"),
        (("evaluate", "rooms", "--without", "nothing"), "--without: 'nothing'"),
        (("evaluate", "rooms", "--json", "/dev/full"), "no regular file"),
        (("evaluate", "questions", "--per-kind", "0"), "--per-kind 0"),
        (("evaluate", "questions", "--rooms", "0"), "--rooms 0"),
        (("evaluate", "questions", "--device", "nope"), "--device: 'nope'"),
        (("evaluate", "replica", "FOLDER", "--every", "0"), "--every 0"),
        (("evaluate", "scenefun3d", "FOLDER", "--task", "2", "--every", "0"), "--every 0"),
        (("evaluate", "replica", "FOLDER", "--saved", "FILE/kept"), "is a file"),
        (("evaluate", "map", "FOLDER", "--points", "p", "--gt", "g", "--max-dist", "nan"), "--max-dist-m nan"),
        (("evaluate", "map", "FOLDER", "--points", "p", "--gt", "g", "--max-dist-m", "0"), "--max-dist-m 0"),
        (("ask", "FOLDER", "chair", "--device", "nope"), "--device: 'nope'"),
        (("ask", "FOLDER", "chair", "--page", "FOLDER"), "a folder; name a file"),
        (("ask", "FOLDER", "chair", "--json", "FOLDER"), "a folder; name a file"),
        (("superpoints", "FILE", "--out", "FOLDER"), "a folder; name a file"),
        (("superpoints", "FILE", "--out", "o.npy", "--k", "nan"), "--k nan"),
        (("superpoints", "FILE", "--out", "o.npy", "--min-verts", "-1"), "--min-verts -1"),
        (("weights", "convert", "FILE", "--out", "FOLDER"), "a folder; name a file"),
        (("weights", "list", "--json", "FOLDER"), "a folder; name a file"),
    ],
    ids=str,
)
def test_refused_in_one_line_and_nothing_written(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FILE").write_text("a file")
    assert said in refused(capsys, *words)
    assert {path.name for path in tmp_path.iterdir()} == {"FOLDER", "FILE"}
    assert not list((tmp_path / "FOLDER").iterdir())


def commands_in(page: Path) -> list[str]:
    """Lines of a page's blocks of shell that call seg3r, from that word on."""
    found, language = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            language = line[3:] if language is None else None
        elif language in ("sh", "bash", "console") and (call := re.match(r"(?:[a-z].* )?(seg3r [a-z].*)", line)):
            found.append(call[1])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_print_can_be_parsed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seg3r.cli.run._method_for", lambda source: "opentrack3d")
    for line in commands_in(page):
        assert callable(parse_command(shlex.split(line, comments=True)[1:])), line


def test_the_readme_shows_commands() -> None:
    assert len(commands_in(PAGES[0])) >= 3
    assert Run in COMMANDS.values() and set(RUNS) == {"opentrack3d", "moonseg3r"}
