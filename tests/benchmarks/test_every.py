"""What holds of every benchmark."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from seg3r import api
from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "benchmarks").glob("*.py"))
PROGRAMS = [path for path in FILES if "__main__" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_says_how_to_run_it(path: Path) -> None:
    done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and "--json" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_of_the_one_call_forms_it_takes_what_is_public(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seg3r.api"):
            assert node.module == "seg3r.api" and {name.name for name in node.names} <= set(api.__all__)
        elif isinstance(node, ast.Import):
            assert not any(name.name.startswith("seg3r.api.") for name in node.names)
