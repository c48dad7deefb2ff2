"""`seg3r run`: every number of a method is a flag, the method is guessed, and what cannot be is refused beforehand."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from seg3r import api
from seg3r.cli import main, parse_command
from seg3r.cli.checks import flags_of
from seg3r.cli.run import RUNS, Run, RunMoonSeg3R, RunOpenTrack3D
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS, MoonSeg3RConfig
from seg3r.methods.opentrack3d_config import OpenTrack3DConfig
from seg3r.presets import Bundled, Foundation
from tests.commands import refused
from tests.worlds import table_scene, walk, write_recording

CONFIGS: dict[str, Any] = {"opentrack3d": OpenTrack3DConfig, "moonseg3r": MoonSeg3RConfig}
EVERY_FIELD = [(method, field.name) for method, config in CONFIGS.items() for field in fields(config)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), 6, (90, 120)))
    return folder


def parsed(*words: str) -> Run:
    run = parse_command(["run", *words, "SOURCE", "--out", "OUT"])
    assert isinstance(run, Run)
    return run


def changed(config: Any, name: str) -> tuple[Any, list[str]]:
    """Another value of a field, and the words that ask for it."""
    flag, value, hint = f"--{name.replace('_', '-')}", getattr(config, name), get_type_hints(type(config))[name]
    if isinstance(value, bool):
        return not value, [flag.replace("--", "--no-") if value else flag]
    if isinstance(value, str):
        other = next(word for word in get_args(hint) if word != value)
        return other, [flag, other]
    other = value + 1 if isinstance(value, int) else value / 2 + 0.125
    return other, [flag, str(other)]


# ---- a number of a config is a flag ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "name"), EVERY_FIELD)
def test_every_number_of_a_config_is_a_flag(method: str, name: str) -> None:
    before: Any = parsed(method)
    value, words = changed(before.config, name)
    after: Any = parsed(method, *words)
    assert after.config == replace(before.config, **{name: value}) != before.config
    assert replace(after, config=before.config) == before, "nothing else moves"


@pytest.mark.parametrize("method", CONFIGS)
def test_help_tells_what_each_number_is(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first words of each field's docstring stand behind its flag."""
    with pytest.raises(SystemExit):
        main(["run", method, "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    source = inspect.getsource(CONFIGS[method])
    for field in fields(CONFIGS[method]):
        said = source.split(f"\n    {field.name}: ", 1)[1].split('"""')[1]
        assert field.default is not MISSING and len(said.split()) >= 3
        behind = source.split(f"\n    {field.name}: ", 1)[1].split("\n")[1]
        assert behind.startswith('    """'), f"{field.name}: no docstring"
        found = re.search(rf"--{field.name.replace('_', '-')}[ ,]", shown)
        assert found is not None and " ".join(said.split()[:5]) in shown[found.start() : found.start() + 400]


def test_a_flag_that_is_not_given_keeps_the_presets_number() -> None:
    assert Bundled().moonseg3r != Foundation().moonseg3r, "or this test says nothing"
    standards = {"bundled": Bundled().moonseg3r, "foundation": Foundation().moonseg3r}
    for preset, standard in standards.items():
        for spelt in (["--preset", preset], [f"--preset={preset}"]):
            run = parsed("moonseg3r", *spelt, "--far-m", "3")
            assert isinstance(run, RunMoonSeg3R) and run.config == replace(standard, far_m=3.0)
    plain = parsed("opentrack3d")
    assert isinstance(plain, RunOpenTrack3D) and plain.config == OpenTrack3DConfig()


def test_one_word_means_one_thing() -> None:
    """A config's number is no flag of the run; where both methods have a number of one name, it has one type."""
    for method, config in CONFIGS.items():
        own = {field.name for field in fields(config)}
        assert not own & {field.name for field in fields(RUNS[method])}
    hints = [get_type_hints(config) for config in CONFIGS.values()]
    shared = hints[0].keys() & hints[1].keys()
    assert {"match", "merge", "consensus", "voxel_m"} <= shared
    assert [name for name in shared if hints[0][name] != hints[1][name]] == []
    assert dict(flags_of(RunOpenTrack3D)).keys() >= {"--match", "--no-denoise", "--mesh", "--resume"}
    assert "--no-resume" not in dict(flags_of(RunOpenTrack3D)) and dict(flags_of(RunMoonSeg3R))["--centre"] == 2


def test_earlier_spellings_stand() -> None:
    run = parsed("moonseg3r", "--masks", "m", "--labels", "mllm", "--chat", "x", "--vocabulary", "rooms",
                 "--reconstruct", "saved", "--geometry", "g", "--focal", "500", "--centre", "320", "240.5",
                 "--refiner", "r", "--every", "2", "--resume", "--seed", "3", "--json", "-", "--preset", "bundled")
    assert isinstance(run, RunMoonSeg3R) and (run.focal, run.centre, run.resume) == (500.0, (320.0, 240.5), True)
    # The method may stand anywhere, and its name may be a value.
    assert parse_command(["run", "--out", "o", "opentrack3d", "s", "--mesh", "m.ply"]) == RunOpenTrack3D(
        "s", Path("o"), mesh=Path("m.ply"))
    assert parse_command(["run", "--masks", "moonseg3r", "opentrack3d", "s", "--out", "o"]) == RunOpenTrack3D(
        "s", Path("o"), masks="moonseg3r")
    assert parse_command(["ask", "m", "q", "--labels", "mllm"]) == parse_command(["ask", "m", "q", "--answer", "mllm"])
    assert parse_command(["evaluate", "questions", "--labels", "mllm"]).answer == "mllm"
    assert parse_command(["evaluate", "map", "m", "--points", "p", "--gt", "g", "--max-dist", "0.1"]).max_dist_m == 0.1


# ---- the method that goes with a recording ---------------------------------------------------------------------------


def test_the_method_is_guessed_and_said_in_one_line(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = parse_command(["run", str(recording), "--out", "o", "--match", "0.3"])
    said = capsys.readouterr()
    assert isinstance(run, RunOpenTrack3D) and run.config.match == 0.3
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("opentrack3d: ")
    run = parse_command(["run", "--out", "o", str(recording / "color"), "--match", "2"])
    said = capsys.readouterr()
    assert isinstance(run, RunMoonSeg3R) and run.config == replace(BUNDLED_NUMBERS, match=2.0)
    assert said.err.startswith("moonseg3r: ") and "colour alone" in said.err


def test_a_guessed_run_is_the_named_one(recording: Path, tmp_path: Path) -> None:
    main(["run", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "guessed")])
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "named")])
    api.run(recording, tmp_path / "called", masks="masks_truth")
    for name in ("scene.ply", "instances.json"):
        one = (tmp_path / "named" / name).read_bytes()
        assert one == (tmp_path / "guessed" / name).read_bytes() == (tmp_path / "called" / name).read_bytes()


def test_a_changed_number_reaches_the_map_and_the_settings(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    module = sys.modules["seg3r.api.run"]  # the module, not the function
    monkeypatch.setattr(module, "map_recording", lambda *a, **given: told.append((a, given)) or (a[0].scene, FIGURES))
    base = ["run", "opentrack3d", f"{recording}/", "--out", str(tmp_path / "map")]
    main(base)
    main([*base, "--voxel-m", "0.05", "--no-denoise", "--device", "cpu"])
    (_, plain), ((mapper, *_), given) = told
    assert mapper.scene.voxel_m == 0.05
    assert given["settings"] == {**plain["settings"], "voxel_m": 0.05, "denoise": False}
    assert plain["settings"]["source"] == str(recording), "office/ is office"
    assert not {field.name for field in fields(OpenTrack3DConfig)} & plain["settings"].keys()


FIGURES: dict[str, Any] = {"skipped": {}, "named": 0, "events": [], "instances": 0, "points": 0, "frames": 0,
                           "frames_per_second": 0.0}


# ---- refused before the work -----------------------------------------------------------------------------------------

REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("opentrack3d", "REC", "--token-frames", "3"), "--token-frames: belongs to moonseg3r, not to opentrack3d"),
    (("opentrack3d", "REC", "--no-token"), "--no-token: belongs to moonseg3r"),
    (("opentrack3d", "REC", "--focal", "500"), "--focal: belongs to moonseg3r"),
    (("REC", "--reconstruct=cut3r"), "--reconstruct: belongs to moonseg3r, not to opentrack3d"),
    (("moonseg3r", "REC", "--mesh", "m.ply"), "--mesh: belongs to opentrack3d, not to moonseg3r"),
    (("moonseg3r", "REC", "--snap-add", "0.2"), "--snap-add: belongs to opentrack3d"),
    (("nothing3d", "REC"), "nothing3d: no method; there are opentrack3d, moonseg3r"),
    (("opentrack3d", "REC", "--voxel-m", "0"), "--voxel-m: 0.0"),
    (("opentrack3d", "REC", "--voxel-m", "nan"), "--voxel-m: nan"),
    (("opentrack3d", "REC", "--match", "inf"), "--match: inf"),
    (("opentrack3d", "REC", "--maintain-every", "0"), "--maintain-every: 0"),
    (("moonseg3r", "REC", "--least-points", "-1"), "--least-points: -1"),
    (("opentrack3d", "REC", "--every", "0"), "--every 0"),
    (("opentrack3d", "REC", "--seed", "-1"), "--seed: -1"),
    (("opentrack3d", "REC", "--device", "nope"), "--device: 'nope'"),
    (("opentrack3d", "REC", "--chat", "x"), "--chat: x"),
    (("moonseg3r", "REC", "--focal", "nan"), "--focal: nan"),
    (("moonseg3r", "REC", "--focal", "0"), "--focal: 0"),
    (("moonseg3r", "REC", "--focal", "-5"), "--focal: -5"),
    (("moonseg3r", "REC", "--focal", "inf"), "--focal: inf"),
    (("moonseg3r", "REC", "--centre", "nan", "nan"), "--centre: nan nan"),
    (("moonseg3r", "REC", "--reconstruct", "saved"), "--geometry: "),
    (("moonseg3r", "REC", "--geometry", "FOLDER"), "--geometry: "),
    (("moonseg3r", "REC", "--reconstruct", "cut3r", "--focal", "500"), "--focal: "),
    (("opentrack3d", "REC", "--json", "."), "name a file"),
    (("opentrack3d", "REC", "--json", "/"), "name a file"),
    (("opentrack3d", "REC", "--json", ""), "name a file"),
    (("opentrack3d", "REC", "--json", "FOLDER"), "a folder; name a file"),
    (("opentrack3d", "REC", "--json", "FILE/x.json"), "is a file"),
    (("opentrack3d", "REC", "--json", "/dev/full"), "no regular file"),
    (("opentrack3d", "REC", "--json", "/dev/stdout"), "no regular file"),
    (("opentrack3d", "REC", "--json", "~nobody-at-all/x.json"), "home"),
    (("opentrack3d", "REC", "--mesh", "~nobody-at-all/x.ply"), "home"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=str)
def test_refused_in_one_line_before_a_frame_and_nothing_written(
    words: tuple[str, ...], said: str, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(sys.modules["seg3r.mapping"], "_map", worked)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FILE").write_text("a file")
    before = sorted(recording.rglob("*"))
    places = {"REC": str(recording)}
    assert said in refused(capsys, "run", *(places.get(word, word) for word in words), "--out", "out")
    assert {path.name for path in tmp_path.iterdir()} == {"FOLDER", "FILE"}
    assert sorted(recording.rglob("*")) == before


def test_a_home_in_quotes_is_expanded(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", "~/map", "--json", "~/figures.json"])
    assert (tmp_path / "map" / "scene.ply").is_file()
    assert json.loads((tmp_path / "figures.json").read_text())["frames"] == 6
    assert {path.name for path in tmp_path.iterdir()} == {"map", "figures.json"}


def test_the_library_refuses_by_argument(recording: Path, tmp_path: Path) -> None:
    Refused = Callable[[], object]
    cases: list[tuple[str, Refused]] = [
        ("mesh: belongs to opentrack3d", lambda: api.run(recording, tmp_path / "m", "moonseg3r", mesh="m.ply")),
        ("focal: belongs to moonseg3r", lambda: api.run(recording, tmp_path / "m", "opentrack3d", focal=500.0)),
        ("config: OpenTrack3DConfig is none", lambda: api.run(
            recording, tmp_path / "m", "moonseg3r", config=OpenTrack3DConfig())),
        ("config: MoonSeg3RConfig is none", lambda: api.run(recording, tmp_path / "m", config=MoonSeg3RConfig())),
        ("voxel_m: -1", lambda: OpenTrack3DConfig(voxel_m=-1.0)),
    ]
    for said, call in cases:
        with pytest.raises(ValueError, match=f"^{said}"):
            call()
    assert not list(tmp_path.iterdir())


def test_masks_of_a_run_are_those_of_the_recording(recording: Path, tmp_path: Path) -> None:
    """The guess does not change what is read: one mask over all is one thing."""
    (tmp_path / "masks").mkdir()
    for path in sorted((recording / "color").iterdir()):
        Image.fromarray(np.ones((90, 120), np.uint16)).save(tmp_path / "masks" / f"{path.stem}.png")
    main(["run", str(recording), "--masks", str(tmp_path / "masks"), "--out", str(tmp_path / "map")])
    assert len(json.loads((tmp_path / "map" / "instances.json").read_text())["instances"]) == 1
