"""Lines on the terminal: whole, one each, and harmless whatever they hold."""

from __future__ import annotations

import io
import json
import sys

import pytest

from seg3r.cli import terminal

HOSTILE = "\x1b]0;owned\x07 \x1b[2J a\nb\rc \x9b31m \u202edesrever\u2029 half \udc80 椅子"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_no_line_steers_the_terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    terminal.say(HOSTILE)
    with pytest.raises(SystemExit):
        terminal.fail(HOSTILE, 2)
    for stream, start in ((out, ""), (err, "seg3r: ")):
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert text.startswith(start + r"\x1b]0;owned\x07 \x1b[2J a") and text.endswith("\n")
        line = text[:-1]
        assert line.isprintable() and line.splitlines() == [line]
        assert ("椅子" in line) == (encoding == "utf-8") and r"\udc80" in line and r"\u202e" in line


def test_json_on_standard_output_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"name": HOSTILE + "\x7f\x85", "list": [1, 2]}
    terminal.emit("-", content)
    text = capsys.readouterr().out
    assert json.loads(text) == content and text.count("\n") > 4
    assert text.replace("\n", "").isprintable() and text.isascii()


def test_names_of_scenes_are_no_markup() -> None:
    with terminal.Steps() as tick:
        tick("scene [/bold] of 3", 1, 3)
