"""One writer a place: the second is told of the first, the dead are no obstacle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from seg3r import lock
from seg3r.errors import InputError
from seg3r.lock import LockHolder, beside, sole_writer

HOLD = """
import sys
from pathlib import Path
from seg3r.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    sys.stdout.write("held\\n"), sys.stdout.flush()
    sys.stdin.readline()
"""
RACE = """
import json, os, sys, time
from pathlib import Path
from seg3r.errors import InputError
from seg3r.lock import LockHolder, beside, sole_writer
out = Path(sys.argv[1])
sys.stdout.write("ready\\n"), sys.stdout.flush()
sys.stdin.readline()
told = "late"
for _ in range(300):
    try:
        with sole_writer(out):
            os.close(os.open(out.parent / "inside", os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            os.unlink(out.parent / "inside")
            told = "alone"
            dead = out.parent / f"dead {os.getpid()}"
            dead.write_text(json.dumps({**LockHolder.here()._asdict(), "began": 1}))
            dead.replace(beside(out, "lock"))
    except InputError as error:
        assert "another run" in str(error), error
    except FileExistsError:
        told = "two at once"
        break
sys.stdout.write(told)
"""


def started(code: str, out: Path) -> subprocess.Popen[str]:
    """A process that has said its first word."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


@contextmanager
def holding(out: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process writes to `out`."""
    process = started(HOLD, out)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def refusal(out: Path) -> str:
    with pytest.raises(InputError) as caught, sole_writer(out):
        pytest.fail("two at once")
    message = str(caught.value)
    assert message.isprintable()
    return message


def hidden(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def leave(out: Path, **changed: object) -> None:
    """A lock as this process would make it, but for what is changed."""
    beside(out, "lock").write_text(json.dumps({**LockHolder.here()._asdict(), **changed}))


def test_the_second_process_is_told_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "map"
    with holding(out) as other:
        assert re.fullmatch(
            rf"another run \(pid {other.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\) writes to .*map; wait for .*",
            refusal(out),
        )
        assert hidden(tmp_path) == [".map.lock"], "its lock is still there"
        other.communicate("done\n")
        assert other.returncode == 0
    assert hidden(tmp_path) == []
    with sole_writer(out):
        pass


@pytest.mark.parametrize("awaited", [True, False])
def test_a_killed_run_is_no_obstacle(awaited: bool, tmp_path: Path) -> None:
    """Whether its parent has taken notice or not."""
    out = tmp_path / "map"
    with holding(out) as other:
        other.send_signal(signal.SIGKILL)
        if awaited:
            other.wait()
        else:
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert hidden(tmp_path) == [".map.lock"]
        with sole_writer(out):
            assert json.loads((tmp_path / ".map.lock").read_text())["pid"] == os.getpid()
    assert hidden(tmp_path) == []


def test_only_one_of_many_takes_over_from_the_dead(tmp_path: Path) -> None:
    """Each that was alone leaves a lock behind as if it had been killed."""
    out = tmp_path / "map"
    racing = [started(RACE, out) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = [said for said, _ in pool.map(lambda p: p.communicate("go\n"), racing)]
    assert set(told) <= {"alone", "late"} and "alone" in told


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not say when a process began")
def test_another_process_with_the_same_number_holds_nothing(tmp_path: Path) -> None:
    out, parent = tmp_path / "map", os.getppid()
    began = lock._began(parent)
    assert began is not None and 0 < began == lock._began(parent)
    leave(out, pid=parent, began=began)
    assert f"pid {parent}," in refusal(out)
    leave(out, pid=parent, began=began + 1)
    with sole_writer(out):
        pass
    assert hidden(tmp_path) == []


def test_of_a_process_elsewhere_nobody_can_tell(tmp_path: Path) -> None:
    out = tmp_path / "map"
    leave(out, host="far\x1b[2Jaway", pid=1)
    message = refusal(out)
    assert "(pid 1 on far [2Jaway, since " in message and f"if it is gone, remove {tmp_path / '.map.lock'}" in message


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": "x"}', "[" * 100_000, "null", '{"host": 3}'])
def test_a_lock_that_says_nothing_is_respected_for_seconds(content: str, tmp_path: Path) -> None:
    out, path = tmp_path / "map", tmp_path / ".map.lock"
    path.write_text(content)
    assert "another run begins to write" in refusal(out)
    old = time.time() - 2 * lock.MAKING_S
    os.utime(path, (old, old))
    with sole_writer(out):
        pass
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("pid", [0, -1, 10**30, True])
def test_a_lock_of_no_process_holds_nothing_for_long(pid: int, tmp_path: Path) -> None:
    leave(tmp_path / "map", pid=pid)
    os.utime(tmp_path / ".map.lock", (0, 0))
    with sole_writer(tmp_path / "map"):
        pass


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_is_given_back_however_the_run_ends(stop: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(stop), sole_writer(tmp_path / "map"):
        raise stop
    assert hidden(tmp_path) == []


def test_blocks_of_one_thread_nest_those_of_two_do_not(tmp_path: Path) -> None:
    out = tmp_path / "map"
    with sole_writer(out):
        with sole_writer(out):
            pass
        assert hidden(tmp_path) == [".map.lock"]
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(refusal(out)))
        thread.start()
        thread.join()
        assert len(found) == 1 and f"pid {os.getpid()}," in found[0]
        with sole_writer(tmp_path / "other"):
            assert hidden(tmp_path) == [".map.lock", ".other.lock"]
    assert hidden(tmp_path) == []


def test_one_place_has_one_lock_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "map").mkdir()
    (tmp_path / "link").symlink_to("map")
    monkeypatch.chdir(tmp_path)
    with holding(tmp_path / "map"):
        for name in ("map", "map/", "./map", "link", "map/../map"):
            assert "another run" in refusal(Path(name))


def test_the_lock_of_who_came_after_stays(tmp_path: Path) -> None:
    """Someone removed ours, and another run has begun."""
    path = tmp_path / ".map.lock"
    with sole_writer(tmp_path / "map"):
        path.unlink()
        leave(tmp_path / "map", token="another")
    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_takes_no_lock_away(tmp_path: Path) -> None:
    fork = """
    import os
    if (pid := os.fork()) == 0:
        sys.exit()
    os.waitpid(pid, 0)
    sys.stdout.write(str(os.listdir(Path(sys.argv[1]).parent)))
    sys.stdin"""
    code = HOLD.replace("\n    sys.stdin", fork)
    process = started(code, tmp_path / "map")
    said, _ = process.communicate("\n")
    assert said == "['.map.lock']" and hidden(tmp_path) == []


def test_no_place_for_a_lock_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(tmp_path / "file" / "map")
    (tmp_path / ".map.lock").mkdir()
    assert "is in the way" in refusal(tmp_path / "map")


def test_hidden_names_fit_and_differ() -> None:
    for name in ("map", "x" * 255, "椅" * 85, "x" * 254 + "y", "\udcff" * 255):
        path = beside(Path("/somewhere") / name, "0a1b2c3d.tmp.safetensors")
        assert len(os.fsencode(path.name)) <= 255 and path.parent == Path("/somewhere")
    assert beside(Path("x" * 255), "lock") != beside(Path("x" * 254 + "y"), "lock")
    assert beside(Path("out/map"), "lock") == Path("out/.map.lock")
