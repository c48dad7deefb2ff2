"""The command line as a person meets it."""

from __future__ import annotations

import pytest

from seg3r.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line a command fails with."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code not in (0, None)
    lines = capsys.readouterr().err.strip().splitlines()
    said = [line for line in lines if line.startswith("seg3r: ")]
    assert len(said) == 1
    return said[0]
