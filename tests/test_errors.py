"""What a misspelt word meets."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

import seg3r
from seg3r.errors import InputError, check_choice


def test_a_word_of_the_list_passes() -> None:
    for word in ("geometric", "truth"):
        check_choice("masks", word, ("geometric", "truth"))


@pytest.mark.parametrize("word", ["thruth", "", None, 3])
def test_another_one_is_named_with_all_that_there_are(word: object) -> None:
    with pytest.raises(InputError) as error:
        check_choice("masks", word, (name for name in ("geometric", "truth")))
    assert str(error.value) == f"masks: {word!r} is none of geometric, truth"


BEFORE = {
    "ask": "'MAP', 'the chair'", "open_map": "'MAP'", "name": "seg3r.open_map('MAP'), seg3r.Vocabulary(('chair',))",
    "run": "'rooms:1', 'nowhere'", "evaluate_rooms": "", "evaluate_questions": "", "opentrack3d": "", "moonseg3r": "",
    "evaluate_map": "'MAP', 'points.npy', 'ids.txt'", "evaluate_data": "'replica', '.'", "evaluate_tasks": "'.'",
    "OpenTrack3DConfig": "",
}
"""Arguments that come before the one that is misspelt, by public callable."""
MORE = {
    "evaluate_rooms.placement": "method='moonseg3r'", "evaluate_rooms.reconstruct": "method='moonseg3r'",
    "evaluate_data.placement": "method='moonseg3r'", "evaluate_data.reconstruct": "method='moonseg3r'",
    "run.reconstruct": "method='moonseg3r'",
}
"""Where the argument belongs to one method."""


def choices_of(annotation: Any) -> bool:
    """Whether words may be chosen between."""
    return get_origin(annotation) is Literal or any(choices_of(each) for each in get_args(annotation))


def arguments_to_choose() -> dict[str, str]:
    """`function.argument` -> a call with a wrong word, for every public callable."""
    calls = {}
    for name in seg3r.__all__:
        public = getattr(seg3r, name)
        made = public.__init__ if inspect.isclass(public) else public
        if not callable(public) or (inspect.isclass(public) and name not in BEFORE):
            continue
        hints = typing.get_type_hints(inspect.unwrap(made))
        for argument, annotation in hints.items():
            if argument != "return" and choices_of(annotation):
                given = [BEFORE[name], f"{argument}='wrogn'", MORE.get(f"{name}.{argument}", "")]
                calls[f"{name}.{argument}"] = f"seg3r.{name}({', '.join(filter(None, given))})"
    return calls


def test_every_public_word_is_refused_at_the_door_with_the_right_ones(tmp_path: Path) -> None:
    """In a program of its own: beneath the types that these tests check."""
    calls = arguments_to_choose()
    assert len(calls) >= 30 and "evaluate_rooms.split" in calls and "run.method" in calls, calls
    seg3r.SceneMap().save(tmp_path / "scene.safetensors")
    code = (
        "import seg3r\n"
        f"for name, call in {calls!r}.items():\n"
        f"    call = call.replace('MAP', {str(tmp_path)!r})\n"
        "    try:\n        eval(call)\n        print(name, 'passes')\n"
        "    except seg3r.InputError as error:\n        print(name, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.strip().splitlines())
    argument = {name: name.split(".")[1] for name in calls}
    wrong = {
        name: line for name, line in lines.items()
        if not line.startswith(f"{argument[name]}: 'wrogn' is none of ")
    }
    assert not wrong and set(lines) == set(calls)
