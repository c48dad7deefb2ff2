"""What a person who mistyped something is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seg3r.errors import InputError, check_choice


def test_a_word_that_is_one_passes() -> None:
    check_choice("masks", "truth", ("geometric", "truth"))
    check_choice("masks", "truth", iter(("geometric", "truth")))
    check_choice("masks", "truth", {"truth": 1})


@pytest.mark.parametrize("word", ["Truth", "", "truthgeometric", None, 3, "truth "])
def test_another_one_is_named_with_all_that_there_are(word: object) -> None:
    with pytest.raises(InputError) as error:
        check_choice("masks", word, (name for name in ("geometric", "truth")))
    assert str(error.value) == f"masks: {word!r} is none of geometric, truth"


CALLS = {
    "preset": "seg3r.presets.preset_named('bundeld')",
    "preset of a mapper": "seg3r.opentrack3d('bundeld')",
    "reconstruct": "seg3r.moonseg3r(reconstruct='odometri')",
    "split": "seg3r.evaluate_rooms(split='vall', rooms=1)",
    "masks": "seg3r.evaluate_rooms(masks='thruth', rooms=1)",
    "depth": "seg3r.evaluate_rooms(depth='foggy', rooms=1)",
    "method": "seg3r.evaluate_rooms('opentrack', rooms=1)",
    "association": "seg3r.evaluate_rooms(association='true', rooms=1)",
    "labels": "seg3r.presets.labeler_of('nearset', seg3r.presets.Bundled())",
    "answer": "seg3r.presets.answerer_of('mlm', seg3r.presets.Bundled())",
    "placement": "seg3r.evaluate_rooms('moonseg3r', placement='alinged', rooms=1)",
    "trainable": "seg3r.train.recipes.train('slip', __import__('pathlib').Path('nowhere'))",
}


def test_no_misspelt_word_means_something_else() -> None:
    """In a program of its own: beneath the types that these tests check."""
    code = (
        "import seg3r, seg3r.presets, seg3r.train.recipes\n"
        f"for name, call in {CALLS!r}.items():\n"
        "    try:\n        eval(call)\n        print(name, 'passes')\n"
        "    except seg3r.InputError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == len(CALLS)
    for name, line in zip(CALLS, lines, strict=True):
        assert line.startswith(f"{name.split()[0]}: '") and " is none of " in line, line
