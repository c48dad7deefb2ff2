"""Whatever is done to a file, its reader ends in a result or in one line. Longer: `python benchmarks/fuzz.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import av
import pytest

from seg3r.errors import InputError
from tests.fuzzing import attack as attacking
from tests.fuzzing.attack import Reader, attack
from tests.fuzzing.mutate import mutate
from tests.fuzzing.readers import READERS

CASES, SEED = 200, 12


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_file_ends_in_a_result_or_in_one_line(reader: Reader, tmp_path: Path) -> None:
    if reader.name in ("source .mp4", "source .avi") and int(av.__version__.split(".")[0]) < 18:
        pytest.skip(f"PyAV {av.__version__} itself dies on some damaged videos")
    tally = attack(reader, CASES, SEED, tmp_path)
    assert tally.tried >= CASES * reader.share
    assert tally.refused > 0 or reader.name == "source images", "nothing was damaged so that anyone noticed"
    assert not tally.faults, "\n".join(f"case {f.case}: {f.why} {f.where}" for f in tally.faults[:10])


def _sample(root: Path) -> None:
    (root / "number.txt").write_text("12 13 14\n")
    (root / "more.json").write_text('{"a": [1, 2]}')


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raises", "KeyError"), ("hangs", "hangs"), ("takes memory", "MiB"), ("two lines", "no plain line"),
        ("warns", "warns UserWarning"), ("logs", "logs"),
    ],
)
def test_the_judge_sees(how: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of fault, so that none passes unseen above."""
    import logging
    import time
    import warnings

    monkeypatch.setattr(attacking, "LIMIT_S", 0.05 if how == "hangs" else 60.0)
    held, whole = 0, True
    monkeypatch.setattr(attacking, "_most_memory", lambda: held)

    def read(root: Path) -> None:
        nonlocal whole, held
        if whole:
            whole = False
            return
        if how == "raises":
            raise KeyError("frames")
        if how == "hangs":
            time.sleep(5)
        if how == "takes memory":
            held += attacking.LIMIT_BYTES + 1
        if how == "two lines":
            raise InputError("one\ntwo")
        if how == "warns":
            warnings.warn("odd", stacklevel=2)
        if how == "logs":
            logging.getLogger("trimesh").warning("odd")

    tally = attack(Reader("made up", _sample, read), 2, 0, tmp_path)
    assert why in tally.faults[0].why


def test_the_same_seed_damages_alike_and_every_case_otherwise() -> None:
    whole = {"a.txt": b"1 2 3\n" * 20, "b.json": b'{"x": [1, 2, {"y": 3}]}', "c/d.bin": bytes(range(256))}
    damaged = [mutate(whole, Random(f"1 {case}")) for case in range(200)]
    assert damaged == [mutate(whole, Random(f"1 {case}")) for case in range(200)]
    assert len({str(sorted(each.items())) for each in damaged}) > 180
    assert sum(each == whole for each in damaged) < 20
    assert whole["a.txt"] == b"1 2 3\n" * 20
