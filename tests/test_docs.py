"""What the pages say of the code, and the code of the pages: citations, paths, links, imports, commands, extras."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import seg3r
from seg3r import cli

HOUSE = Path(seg3r.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(HOUSE.rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

CITED = re.compile(
    r"docs/(?P<page>[\w-]+\.md)(?P<places>(?:(?:,| and| to)\s+(?:D-?\d+|\d+(?:\.\d+)?)\b)*)", re.DOTALL
)
PLACE = re.compile(r"D-?\d+|\d+(?:\.\d+)?")
DECISION = re.compile(r"\bD-?\d+\b(?!\s*=)")
HOMES = {"D-": "opentrack3d.md", "D": "moonseg3r.md"}
"""How a decision is numbered on its page."""
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"`([^`\n]+)`")
DOCUMENTS = re.compile(r"\bspecifications?\b", re.IGNORECASE)


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def source_name(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def prose(path: Path) -> str:
    """A source file whose comments and docstrings run on over line ends."""
    return re.sub(r"\s*\n\s*(?:#\s*)?", " ", path.read_text(encoding="utf-8"))


@cache
def places(page: str) -> frozenset[str]:
    """Numbers of a page that can be cited: of its headings, and of rows that begin with one."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", text, re.MULTILINE)
    rows = re.findall(r"^\| (D-?\d+) \|", text, re.MULTILINE)
    assert len(headings) == len(set(headings)), page
    assert len(rows) == len(set(rows)), page
    return frozenset(headings + rows)


def missing_places(text: str) -> list[str]:
    """What a source file cites and no page has."""
    missing = []
    for found in CITED.finditer(text):
        page = found["page"]
        if not (ROOT / "docs" / page).is_file():
            missing.append(page)
            continue
        missing += [f"{page}, {place}" for place in PLACE.findall(found["places"]) if place not in places(page)]
    for place in DECISION.findall(text):
        home = HOMES["D-" if "-" in place else "D"]
        missing += [f"{home}, {place}"] if place not in places(home) else []
    return missing


@pytest.mark.parametrize("path", FILES, ids=source_name)
def test_what_the_code_cites_is_there(path: Path) -> None:
    text = prose(path)
    assert not missing_places(text)
    assert not DOCUMENTS.findall(text), "name the page and the number of its section or decision"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("(docs/opentrack3d.md, 3.9)", []),
        ("(docs/opentrack3d.md, 3.13)", ["opentrack3d.md, 3.13"]),
        ("(docs/opentrack3d.md, D-6 and D-99)", ["opentrack3d.md, D-99"] * 2),
        ("(docs/moonseg3r.md, D19: 0.02)", []),
        ("our decision D40", ["moonseg3r.md, D40"]),
        ("(docs/nowhere.md, 3)", ["nowhere.md"]),
        ("docs/moonseg3r.md", []),
    ],
)
def test_the_check_sees_what_is_missing(text: str, missing: list[str]) -> None:
    assert missing_places(text) == missing


def test_opentrack3d_has_every_number_it_promises() -> None:
    assert {f"3.{n}" for n in range(1, 13)} | {f"D-{n}" for n in range(1, 19)} <= places("opentrack3d.md")
    assert {f"D{n}" for n in range(1, 27)} <= places("moonseg3r.md")


# ---- what the pages name ---------------------------------------------------------------------------------------------

IN_THE_HOUSE = {path.name for path in HOUSE.iterdir()}
IN_THE_ROOT = {"benchmarks", "tests", "docs", "src", "examples"}
def named_paths(text: str) -> Iterator[tuple[str, Path]]:
    """Paths of the repository that a page quotes, and where they should lie. Words are paths only where they begin with
    a room: pages also name files of recordings."""
    words = [word for quoted in QUOTED.findall(CODE.sub("", text)) for word in quoted.split()]
    words += [word for _, code in CODE.findall(text) for word in code.split()]
    for word in words:
        plain = word.rstrip("/,:;.)").removeprefix("./")
        first = plain.split("/")[0]
        if not re.fullmatch(r"[\w./-]+", plain):
            continue
        if "/" in word and first in IN_THE_ROOT:
            yield plain, ROOT / plain
        elif ("/" in word or plain.endswith(".py")) and first in IN_THE_HOUSE:
            yield plain, HOUSE / plain
    for module in re.findall(r"\bseg3r((?:\.[a-z_0-9]+)+)", text):
        yield f"seg3r{module}", HOUSE / module[1:].replace(".", "/")


def is_there(name: str, path: Path) -> bool:
    if not name.startswith("seg3r."):
        return path.exists()
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, leaf = name.rpartition(".")
    return hasattr(importlib.import_module(module), leaf)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_paths_and_modules_on_the_pages_exist(page: Path) -> None:
    named = dict(named_paths(page.read_text(encoding="utf-8")))
    assert not sorted(name for name, path in named.items() if not is_there(name, path))


def test_the_check_sees_a_room_that_is_gone() -> None:
    text = "`label/best_views.py`, `label/votes.py` and `seg3r.metrics.quality`, `seg3r.colors`; not `poses/STEM.txt`"
    assert [name for name, path in named_paths(text) if path.parent.is_dir() and not path.exists()][:1] == [
        "label/best_views.py"
    ]
    assert [name for name, _ in named_paths(text)] == [
        "label/best_views.py", "label/votes.py", "seg3r.metrics.quality", "seg3r.colors"
    ]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_the_pages_import_is_there(page: Path) -> None:
    for language, code in CODE.findall(page.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seg3r":
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "seg3r":
                assert hasattr(seg3r, node.attr), f"seg3r.{node.attr}"


# ---- commands --------------------------------------------------------------------------------------------------------

NEEDS = {"|", ">", "...", "URL", "METHOD"}
"""Words of lines that stand for many commands."""


def commands(page: Path) -> Iterator[str]:
    """Lines of a page's shell blocks that call seg3r, be it through a launcher."""
    for language, code in CODE.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            for line in code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "seg3r" in words and not set(words) & NEEDS and words[0] != "pip":
                    yield shlex.join(words[words.index("seg3r") + 1 :])


COMMANDS = [(page_name(page), line) for page in PAGES for line in commands(page)]


def with_method(words: list[str]) -> list[str]:
    """A run without a method looks at its recording, which is not here."""
    if words[0] != "run" or words[1] in ("opentrack3d", "moonseg3r"):
        return words
    return ["run", "moonseg3r" if words[1].endswith(".mp4") else "opentrack3d", *words[1:]]


@pytest.mark.skipif(not hasattr(cli, "parse_command"), reason="the command line cannot parse without running yet")
@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda value: value[:60])
def test_commands_on_the_pages_are_understood(page: str, line: str) -> None:
    assert callable(cli.parse_command(with_method(shlex.split(line))))


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) > 50
    assert {"README.md", "docs/evaluation.md", "docs/models.md", "docs/moonseg3r.md", "docs/own-recording.md"} <= {
        page for page, _ in COMMANDS
    }


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_flags_on_the_pages_exist(page: Path) -> None:
    """A flag is the name of a field, or a word of a benchmark's parser."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (*FILES, *BENCHMARKS))
    known = set(re.findall(r"[a-z_0-9]+", source)) | {"help", "mmproj"}
    quoted = QUOTED.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    ours = [each for each in quoted if each.split()[0] not in ("accelerate", "torchrun", "rs-convert")]
    flags = re.findall(r"--(?:no-)?([a-z][a-z0-9-]*)", " ".join(ours))
    assert not [flag for flag in flags if flag.replace("-", "_") not in known]


# ---- extras ----------------------------------------------------------------------------------------------------------

IMPORTED_AS = {"accelerate": "accelerate"}
"""Package -> module, where the names differ."""


def extras() -> dict[str, list[str]]:
    """Of pyproject.toml; Python 3.10 has no reader of its own for it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    return {name: ast.literal_eval(listed) for name, listed in re.findall(r"^(\w+) = (\[.*?\])", section, re.S | re.M)}


def test_every_extra_installs_what_a_line_imports() -> None:
    assert {"models", "train", "dev"} <= set(extras())
    imported = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
                imported |= {str(getattr(node.args[0], "value", "")).split(".")[0]}
    for extra, listed in extras().items():
        if extra != "dev":
            names = [Requirement(each).name for each in listed]
            unused = [name for name in names if IMPORTED_AS.get(name, name).replace("-", "_") not in imported]
            assert not unused, f"the extra {extra} installs {unused}, which nothing imports"
