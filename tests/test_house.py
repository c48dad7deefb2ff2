"""Which way the arrows run, and what no room may hold: read from the source, so that a room need not be importable."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import seg3r

HOUSE = Path(seg3r.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("*.py"))

GROUND = {"errors", "choices", "types", "geometry", "kernels", "text", "lock", "files", "reading", "id_maps"}
STAGES = {"sources", "reconstruct", "segment", "embed", "associate", "refine", "label", "answer"}
HALL = GROUND | {"scene", "lift", "superpoints", "protocols", "models", "weights", "describe", "language"}
"""What a stage may stand on."""
OUTLOOK = GROUND | {"scene", "superpoints", "describe"}
"""What may look at a finished map."""
WORKSHOP = HALL | STAGES | {"rooms", "mapper", "methods", "metrics", "datasets", "presets"}

MAY_IMPORT = {
    "errors": set(), "choices": set(), "kernels": set(), "geometry": set(), "text": set(), "lock": {"errors", "text"},
    "files": {"errors", "lock"}, "reading": {"errors", "text"}, "types": {"errors"},
    "id_maps": {"errors", "reading", "text", "types"},
    "weights": {"errors", "files", "reading", "text"},
    "models": GROUND, "rooms": GROUND, "superpoints": GROUND, "scene": GROUND, "metrics": GROUND,
    "protocols": {"types", "scene"},
    "lift": GROUND | {"scene"},
    "describe": OUTLOOK, "language": GROUND | {"models", "protocols", "weights"},
    **dict.fromkeys(STAGES, HALL), "sources": HALL | {"rooms"}, "answer": HALL | {"label"},
    "mapper": GROUND | {"protocols", "scene"},
    "methods": HALL | STAGES | {"mapper"},
    "datasets": GROUND | {"metrics", "rooms", "sources", "superpoints"},
    "resume": GROUND | {"mapper", "protocols", "reconstruct", "scene", "sources"},
    "presets": WORKSHOP,
    "evaluate": WORKSHOP,
    "train": WORKSHOP,
    "report": OUTLOOK, "export": OUTLOOK | {"report"},
    "mapping": WORKSHOP | {"evaluate", "export", "resume"},
    "api": WORKSHOP | OUTLOOK | {"evaluate", "export", "report", "train", "resume", "mapping"},
}
"""Room -> rooms it may import. One that is not listed stands on the ground and looks at the map, no more."""
ANYTHING = {"cli", "__init__", "__main__"}

EXTRAS = {
    "transformers", "peft", "accelerate", "viser", "rosbags", "mcap", "ray", "pycolmap", "rerun", "pytest", "hypothesis"
}
BANNED = {"torchvision", "timm", "open_clip", "open3d", "pickle", "cPickle", "dill", "shelve", "marshal"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node: ast.AST, package: tuple[str, ...] = ()) -> list[str]:
    """Dotted names an import statement reaches for; `package` is where relative ones start."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join((*base, *([node.module] if node.module else [])))
        return [f"{module}.{alias.name}" for alias in node.names] if module == "seg3r" else [module]
    if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            return [str(node.args[0].value)]
    return []


def uphill(room: str, module: ast.Module, package: tuple[str, ...]) -> list[str]:
    """Rooms this module imports and may not."""
    if room in ANYTHING:
        return []
    allowed = MAY_IMPORT.get(room, OUTLOOK | {"protocols"}) | {room}
    names = [name for node in ast.walk(module) for name in imported(node, package)]
    reached = {name.split(".")[1] for name in names if name.startswith("seg3r.")}
    return sorted(reached - allowed) + ["seg3r itself"] * ("seg3r" in names)


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def at_import_time(module: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported; not those for the type checker alone."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_no_arrow_runs_uphill(path: Path) -> None:
    package = ("seg3r", *path.relative_to(HOUSE).parent.parts)
    room = room_of(path)
    found = uphill(room, tree(path), package)
    assert not found, f"seg3r.{room} must not import {', '.join(found)} (MAY_IMPORT in {Path(__file__).name})"


@pytest.mark.parametrize(
    ("room", "code", "found"),
    [
        ("segment", "from seg3r.embed.patches import Patches", ["embed"]),
        ("segment", "def f():\n    import seg3r.methods.opentrack3d", ["methods"]),
        ("scene", "from ..refine import merge", ["refine"]),
        ("scene", "from . import io", []),
        ("kernels", "from seg3r import types", ["types"]),
        ("evaluate", "from seg3r.api import frames", ["api"]),
        ("export", "import seg3r.cli", ["cli"]),
        ("methods", "from seg3r.evaluate import run", ["evaluate"]),
        ("presets", "import seg3r\n\nPLACE = seg3r.__file__", ["seg3r itself"]),
        ("scene", "from .. import api", ["api"]),
        ("evaluate", "from seg3r import api as forms", ["api"]),
        ("methods", "from seg3r.segment.geometric import GeometricSegmenter", []),
        ("api", "import importlib\nimportlib.import_module('seg3r.cli')", ["cli"]),
        ("a room not yet built", "from seg3r.lift import Lift\nfrom seg3r.scene import SceneMap", ["lift"]),
    ],
)
def test_the_check_sees_an_uphill_arrow(room: str, code: str, found: list[str]) -> None:
    assert uphill(room, ast.parse(code), ("seg3r", room)) == found


def test_the_table_has_no_way_round() -> None:
    assert all("cli" not in allowed for allowed in MAY_IMPORT.values())
    assert [room for room, allowed in MAY_IMPORT.items() if "api" in allowed] == []
    others = {"answer": {"label"}}  # who answers reads names and compares texts as who names does
    for stage in STAGES:
        assert not MAY_IMPORT[stage] & (STAGES - others.get(stage, set()) | {"mapper", "methods", "evaluate"}), stage
    assert {room for room, allowed in MAY_IMPORT.items() if "methods" in allowed} == {
        "presets", "evaluate", "train", "mapping", "api"
    }


def test_no_circle_among_the_rooms() -> None:
    waiting: dict[str, set[str]] = {}
    for path in FILES:
        if (room := room_of(path)) != "__init__":
            package = ("seg3r", *path.relative_to(HOUSE).parent.parts)
            names = [name for node in ast.walk(tree(path)) for name in imported(node, package)]
            reached = {name.split(".")[1] for name in names if name.startswith("seg3r.")}
            waiting[room] = waiting.get(room, set()) | reached - {room}
    while waiting:
        free = {room for room, below in waiting.items() if not below & set(waiting)}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {room: below for room, below in waiting.items() if room not in free}


def test_api_is_thin_and_benchmarks_use_what_is_public_of_it() -> None:
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (HOUSE / "api").glob("*.py"))
    assert lines < 650
    for path in BENCHMARKS:
        for node in ast.walk(tree(path)):
            inside = [name for name in imported(node) if name.startswith("seg3r.api.")]
            assert not inside, f"{path.name} imports {inside}: take it from seg3r, seg3r.api, or the room it lives in"


DOUBLED: dict[str, str] = {
    "opentrack3d": "methods/ builds it from parts, presets/ gives it the parts of a preset: one method, one name",
    "moonseg3r": "as opentrack3d",
    "recognise": "one for each layout of a recording, always called with its module's name",
}
"""Names that may stand in two files, and why."""


def test_no_name_means_two_things() -> None:
    homes: dict[str, set[str]] = {}
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(str(path.relative_to(HOUSE)))
    doubled = {name: sorted(places) for name, places in homes.items() if len(places) > 1}
    assert not {name: places for name, places in doubled.items() if name not in DOUBLED}
    assert set(DOUBLED) <= set(doubled), "what is not doubled needs no reason"


WRITERS = {"write_text", "write_bytes", "save_file", "savetxt", "save", "savez", "savez_compressed", "save_pretrained"}
"""What puts bytes into a file by itself."""
NEW_FOLDER = {
    "rooms/write.py": "fills a new folder that takes its place whole",
    "export/crops.py": "likewise, within the map's folder",
}


def test_files_are_written_in_one_place() -> None:
    """Whole or not at all: through files.py, or into a temporary place that it gave."""
    bad = []
    for path in FILES:
        name = str(path.relative_to(HOUSE))
        if name == "files.py" or name in NEW_FOLDER:
            continue
        for scope in [n for n in ast.walk(tree(path)) if isinstance(n, ast.With)]:
            for inner in ast.walk(scope):
                inner.safe = any("replacing(" in ast.unparse(item) for item in scope.items)  # type: ignore
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or getattr(node, "safe", False):
                continue
            called = ast.unparse(node.func)
            leaf, modes = called.split(".")[-1], [a.value for a in node.args if isinstance(a, ast.Constant)]
            opened = leaf == "open" and any(isinstance(m, str) and set(m) <= set("wxb+") for m in modes)
            first = ast.unparse(node.args[0]) if node.args else ""
            if first in ("buffer", "fresh"):  # memory, and the folder that `replace_folder` gives
                continue
            if opened or (leaf in WRITERS and called not in OWN_SAVES and not called.startswith("files.")
                          and leaf not in imported_from_files(path)):
                bad.append(f"{name}:{node.lineno} {called}")
    assert not bad


OWN_SAVES = {"scene.save", "room.scene.save", "mapper.scene.save", "checkpoints.save"}
"""Methods of ours that write through files.py."""


def imported_from_files(path: Path) -> set[str]:
    return {
        alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module == "seg3r.files"
        for alias in node.names
    }


def test_no_file_outgrows_its_room() -> None:
    assert not {str(p.relative_to(HOUSE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 500}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_what_no_room_may_hold(path: Path) -> None:
    room, bad = room_of(path), []
    for node in ast.walk(tree(path)):
        roots = {name.split(".")[0] for name in imported(node)}
        if roots & BANNED:
            bad.append((node.lineno, f"imports {roots & BANNED}"))  # type: ignore[attr-defined]
        if "numba" in roots and room != "kernels":
            bad.append((node.lineno, "numba outside kernels"))  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in ("print", "eval", "exec", "exit", "quit", "breakpoint", "input"):
                bad.append((node.lineno, f"calls {called}"))
            unsafe = called == "torch.load" and given.get("weights_only") != "True"
            if unsafe or given.get("allow_pickle", "False") != "False":
                bad.append((node.lineno, f"{called} may read a pickle"))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("cuda"):
            bad.append((node.lineno, "a cuda literal"))
        if isinstance(node, ast.Global):
            bad.append((node.lineno, "global state"))
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            bad.append((node.lineno, "a bare except"))
    for node in at_import_time(tree(path)):
        late = {name.split(".")[0] for name in imported(node)} & EXTRAS
        if late:
            bad.append((node.lineno, f"{late} at import time: import an extra where it is constructed"))  # type: ignore
    assert not bad


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, seg3r; seg3r.__all__; "
        "print([m for m in ('torch', 'numpy', 'numba', 'scipy', 'jaxtyping', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_public_names_have_a_home() -> None:
    assert sorted(seg3r.__all__) == sorted(seg3r._HOMES)
    for home in set(seg3r._HOMES.values()):
        place = HOUSE.joinpath(*home.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), home
    with pytest.raises(AttributeError, match="module 'seg3r' has no attribute 'nonsense'"):
        seg3r.nonsense  # noqa: B018
    assert seg3r.SceneMap is __import__("seg3r.scene", fromlist=["SceneMap"]).SceneMap


LATER_THAN_3_10 = {
    "tomllib", "typing.assert_never", "typing.assert_type", "typing.reveal_type", "typing.Self", "typing.Never",
    "typing.LiteralString", "typing.Required", "typing.NotRequired", "typing.Unpack", "typing.TypeVarTuple",
    "typing.override", "typing.ReadOnly", "typing.TypeIs", "enum.StrEnum", "datetime.UTC", "itertools.batched",
    "contextlib.chdir", "hashlib.file_digest",
}


@pytest.mark.parametrize("path", FILES + BENCHMARKS, ids=lambda p: p.stem)
def test_the_oldest_python_knows_what_is_imported(path: Path) -> None:
    """What pyproject.toml promises; a newer Python would not notice."""
    found = {
        f"{node.module}.{alias.name}" for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } | {name for node in ast.walk(tree(path)) if isinstance(node, ast.Import) for name in imported(node)}
    assert not found & LATER_THAN_3_10
