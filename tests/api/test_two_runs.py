"""Two runs to one place: the second is told of the first; of one that was killed the next one takes over."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seg3r import opentrack3d
from seg3r.errors import InputError
from seg3r.id_maps import folder_reader
from seg3r.mapper import Mapper
from seg3r.mapping import map_recording
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording, open_source
from tests.worlds import table_scene, walk, write_recording

RUN = """
import sys
import seg3r.mapping
from seg3r.sources import open_source
from tests.api.test_two_runs import mapper

seg3r.mapping.CHECKPOINT_S = 0.0

def progress(frames, instances):
    if frames == 4:
        sys.stdout.write("four\\n"), sys.stdout.flush()
        sys.stdin.readline()

recording = open_source(sys.argv[1])
settings = {"source": sys.argv[1]}
seg3r.mapping.map_recording(mapper(recording), recording, sys.argv[2], settings=settings, progress=progress)
"""


def mapper(recording: Recording) -> Mapper:
    assert recording.root is not None
    return opentrack3d(segment=SavedMasks(folder_reader(recording.root / "masks_truth", recording.stem)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), 6, (60, 80)))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    names = ("scene.safetensors", "scene.ply", "instances.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.name in names}


def test_a_second_run_waits_and_a_killed_one_is_resumed(folder: Path, tmp_path: Path) -> None:
    out, recording = tmp_path / "map", open_source(str(folder))
    map_recording(mapper(recording), recording, tmp_path / "whole", settings={"source": str(folder)})
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(out)], cwd=Path(__file__).parents[2], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as first:
        try:
            assert first.stdout is not None and first.stdout.readline() == "four\n"
            left = tmp_path / ".map.0a1b2c3d.new"
            left.mkdir()  # as if the first were writing it
            before = contents(tmp_path)
            assert any(".map.partial" in name for name in before)
            for resume in (False, True):
                with pytest.raises(InputError, match=rf"^another run \(pid {first.pid}, since .*\) writes to .*map; "):
                    map_recording(mapper(recording), recording, out, resume=resume, settings={"source": str(folder)})
            assert contents(tmp_path) == before and left.exists(), "nothing of the first run was touched"
        finally:
            first.send_signal(signal.SIGKILL)
    with pytest.raises(InputError, match="other settings"):
        map_recording(mapper(recording), recording, out, resume=True, settings={"source": "elsewhere"})
    _, figures = map_recording(mapper(recording), recording, out, resume=True, settings={"source": f"{folder}/"})
    assert figures["resumed_at"] == 3
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map", "whole"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, InputError, RuntimeError])
def test_the_place_is_free_again_however_a_run_ends(stop: type[BaseException], folder: Path, tmp_path: Path) -> None:
    def progress(frames: int, instances: int) -> None:
        raise stop("now")

    recording = open_source(str(folder))
    with pytest.raises(stop, match="now"):
        map_recording(mapper(recording), recording, tmp_path / "map", progress=progress)
    assert not (tmp_path / ".map.lock").exists()
