"""The map's folder: what is in it reads back, and it is there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from seg3r.describe.colors import instance_colors, painted
from seg3r.describe.records import instance_records
from seg3r.errors import InputError
from seg3r.export import CONTENT, MARK, check_out, write_instances, write_map_folder, write_ply
from seg3r.export import folder as export
from seg3r.files import clear_left_over
from seg3r.report import page
from seg3r.scene import SceneMap
from seg3r.scene.names import most_votes
from tests.maps import HOSTILE, SECONDS, table_map


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the report looks like is another test's."""
    monkeypatch.setattr(page, "PICTURE", (62, 93))


def write(scene: SceneMap, out: Path) -> None:
    write_map_folder(scene, out, title="a table", figures={}, seconds=SECONDS, settings={"seed": 0})


# ---- colours and scores ----------------------------------------------------------------------------------------------


def test_colours_depend_on_the_id_alone_differ_and_are_never_grey() -> None:
    many = instance_colors(torch.arange(2000))
    shuffled = torch.tensor([1700, 3, 40, 3])
    assert torch.equal(instance_colors(shuffled), many[shuffled])
    assert int((many.max(1).values.int() - many.min(1).values.int()).min()) > 60
    first = many[:12].float()
    apart = torch.cdist(first, first) + 1000 * torch.eye(12)
    assert float(apart.min()) > 30


def test_a_point_goes_to_the_owner_with_the_best_share() -> None:
    scene = table_map()
    a, b = scene.ids.tolist()[:2]
    points, hits, views = scene.points_of(a)
    theirs = points[:3]
    own = scene.points_of(b)
    scene.set_points(
        b, torch.cat((own[0], theirs)), torch.cat((own[1], torch.tensor([9, 1, 1], dtype=torch.int32))),
        torch.cat((own[2], torch.tensor([9, 1, 9], dtype=torch.int32))),
    )
    scene.set_points(a, points, torch.full_like(hits, 3), torch.full_like(views, 4))
    assert scene.best_owners[theirs].tolist() == [1, 1, 0]


def test_painted_points_show_their_instance_and_others_keep_their_hue() -> None:
    scene = table_map()
    paint, instance = painted(scene, blend=1.0, dim=0.5), scene.best_owners
    owned = instance >= 0
    assert torch.equal(paint[owned], instance_colors(scene.ids)[instance[owned]])
    assert (paint[~owned].int() - (scene.colors[~owned].float() / 2).round().int()).abs().max() <= 1


def test_score_is_the_geometric_mean_of_its_factors() -> None:
    scene = table_map()
    for i, instance_id in enumerate(scene.ids.tolist()):
        _, hits, views = scene.points_of(instance_id)
        consistency = float((hits / views.clamp_min(1)).mean())
        product = float(scene.mean_scores[i]) * consistency * (1 - math.exp(-int(scene.observations[i]) / 3))
        assert float(scene.scores[i]) == pytest.approx(product ** (1 / 3), abs=1e-5)
    assert len(SceneMap().scores) == 0


# ---- files -----------------------------------------------------------------------------------------------------------


def test_ply_reads_back(tmp_path: Path) -> None:
    scene = table_map()
    write_ply(scene, tmp_path / "scene.ply")
    cloud = trimesh.load(tmp_path / "scene.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_array_equal(cloud.vertices.astype(np.float32), scene.points.numpy())
    np.testing.assert_array_equal(cloud.colors[:, :3], painted(scene).numpy())
    ids = cloud.metadata["_ply_raw"]["vertex"]["data"]["instance"].ravel()
    wanted = scene.best_owners
    np.testing.assert_array_equal(ids[wanted >= 0], scene.ids[wanted[wanted >= 0]].numpy())
    assert (ids[wanted < 0] == -1).all()
    assert (ids == -1).any() and (ids >= 0).any()


def test_instances_json_says_what_the_map_holds(tmp_path: Path) -> None:
    scene = table_map()
    write_instances(scene, tmp_path / "a.json")
    write_instances(scene.copy(), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["frames"] == 8 and content["points"] == scene.point_count
    records = content["instances"]
    assert records == instance_records(scene)
    assert [r["id"] for r in records] == scene.ids.tolist()
    assert {r["name"] for r in records} == {"thing 2", "thing 3", "thing 4", "thing 5"}
    cube = next(r for r in records if r["name"] == "thing 3")
    np.testing.assert_allclose(cube["box"]["min"], (-0.6, -0.2, 0.75), atol=0.03)
    np.testing.assert_allclose(cube["box"]["max"], (-0.3, 0.1, 1.05), atol=0.03)
    assert 0.5 < cube["score"] <= 1 and cube["observations"] == 8
    assert (cube["first_frame"], cube["last_frame"]) == (0, 7)


def test_most_votes_name_an_instance() -> None:
    assert most_votes({}) is None
    assert most_votes({"cup": 1.0, "bowl": 2.0}) == "bowl"
    assert most_votes({"cup": 1.0, "bowl": 1.0}) == "bowl"


def test_the_folder_holds_everything_and_crops_are_where_the_json_says(tmp_path: Path) -> None:
    scene, out = table_map(), tmp_path / "new" / "map"
    write(scene, out)
    assert sorted(p.name for p in out.iterdir()) == sorted(CONTENT)
    assert len(SceneMap.load(out / "scene.safetensors")) == len(scene)
    looks = 0
    for record in json.loads((out / "instances.json").read_text())["instances"]:
        for view, look in zip(record["best_views"], scene.sightings[record["id"]], strict=True):
            with Image.open(out / view["crop"]) as crop:
                assert crop.size == (look.crop.shape[1], look.crop.shape[0])
            looks += 1
    assert looks == len(list((out / "crops").iterdir())) > 0
    assert [p.name for p in out.parent.iterdir()] == ["map"]


def test_an_empty_map_is_written_too(tmp_path: Path) -> None:
    write(SceneMap(), tmp_path / "map")
    assert json.loads((tmp_path / "map" / "instances.json").read_text())["instances"] == []
    assert b"\nelement vertex 0\n" in (tmp_path / "map" / "scene.ply").read_bytes()
    assert "The map is empty" in (tmp_path / "map" / "report.html").read_text()


def test_points_without_instances_and_an_instance_without_points(tmp_path: Path) -> None:
    scene = table_map()
    none = torch.zeros(0, dtype=torch.int32)
    first, *others = scene.ids.tolist()
    scene.set_points(first, none.long(), none, none)
    scene.drop(others)
    write(scene, tmp_path / "map")
    (record,) = json.loads((tmp_path / "map" / "instances.json").read_text())["instances"]
    assert record["box"] is None and record["points"] == 0 and record["score"] == 0
    scene.drop([first])
    write(scene, tmp_path / "map")
    assert "holds no instance" in (tmp_path / "map" / "report.html").read_text()


def test_names_never_become_paths(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er" / "map"
    write(table_map(name=HOSTILE), out)
    assert all(p.suffix == ".jpg" and p.stem.replace("_", "").isdigit() for p in (out / "crops").iterdir())
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


# ---- whole or not at all ---------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("step", ["write_ply", "write_instances", "write_crops", "write_report"])
def test_a_failure_on_the_way_leaves_out_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    scene, out = table_map(), tmp_path / "map"
    write(scene, out)
    before = snapshot(tmp_path)

    def broken(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, step, broken)
    with pytest.raises(KeyboardInterrupt):
        write(table_map(frames=5), out)
    assert snapshot(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["map"]
    with pytest.raises(KeyboardInterrupt):
        write(scene, tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["map"]


def test_a_failed_rename_puts_the_old_map_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "map"
    write(table_map(), out)
    before, rename = snapshot(tmp_path), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match="No space left"):
        write(table_map(frames=5), out)
    assert snapshot(tmp_path) == before


KILL = """
import os, signal, shutil, sys
from pathlib import Path
from seg3r import files
from seg3r.export import folder as export
from tests.maps import table_map

export.write_report = lambda path, *_, **__: path.write_text("page")

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def killed_after(run):
    return lambda *given, **named: (run(*given, **named), killed())

def killed_if(ending, run):
    return lambda path, *given, **named: (killed if str(path).endswith(ending) else run)(path, *given, **named)

def half_gone(path, **_):
    if str(path).endswith(".old"):
        (path / "scene.ply").unlink()
        killed()

POINTS = {
    "first file": lambda: setattr(export.SceneMap, "save", killed_after(export.SceneMap.save)),
    "half a file": lambda: setattr(files, "flush", killed_if(".tmp", files.flush)),
    "last file": lambda: setattr(export, "write_report", killed_after(export.write_report)),
    "before": lambda: setattr(files, "_swap", killed),
    "between": lambda: setattr(Path, "rename", killed_if(".new", Path.rename)),
    "after": lambda: setattr(files, "_empty", killed),
    "clearing": lambda: setattr(files.shutil, "rmtree", half_gone),
}
scene = table_map(frames=2)
for point, breaks in POINTS.items():
    if (child := os.fork()) == 0:
        breaks()
        export.write_map_folder(
            scene, Path(sys.argv[1]) / point / "map", title="", figures={}, seconds={}, settings={}
        )
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, point
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_an_export_killed_anywhere_costs_no_map_and_leaves_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "write_report", lambda path, *_, **__: path.write_text("page"))
    points = ["first file", "half a file", "last file", "before", "between", "after", "clearing"]
    first, second = SceneMap(), table_map(frames=2)
    for point in points:
        write(first, tmp_path / point / "map")
        (tmp_path / point / "map" / "notes.txt").write_text("mine")
    old = snapshot(tmp_path / points[0] / "map")
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(tmp_path)], cwd=Path(__file__).parents[1], capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for point in points:
        folder, out = tmp_path / point, tmp_path / point / "map"
        assert len(list(folder.iterdir())) == 3, f"{point}: the map (or both), its lock, what was left"
        clear_left_over(out, CONTENT)  # as a run to the same place begins
        assert [p.name for p in folder.iterdir()] == ["map"]
        if point in ("after", "clearing"):
            assert json.loads((out / MARK).read_text())["frames"] == second.frames
            assert (out / "notes.txt").read_text() == "mine"
        else:
            assert snapshot(out) == old
        write(second, out)
        assert sorted(p.name for p in out.iterdir()) == sorted([*CONTENT, "notes.txt"])
        assert [p.name for p in folder.iterdir()] == ["map"]


def test_an_earlier_map_is_replaced_and_what_else_lay_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "map"
    out.mkdir()
    write(table_map(), out)  # an empty folder is welcome
    (out / "notes.txt").write_text("mine")
    (out / "crops" / "999_0.jpg").write_bytes(b"stale")
    write(table_map(frames=5), out)
    assert json.loads((out / "instances.json").read_text())["frames"] == 5
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "crops" / "999_0.jpg").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["map"]


def test_a_link_to_a_folder_keeps_being_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(table_map(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "report.html").is_file()


def test_what_is_no_place_for_a_map_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    cases = {
        tmp_path / "file": "a file", tmp_path / "file" / "map": "is a file", tmp_path / "full": "no map",
        Path(): "current folder", tmp_path / "here": "current folder", Path("/proc"): "mount point",
    }
    for out, words in cases.items():
        with pytest.raises(InputError, match=words) as error:
            check_out(out)
        assert "\n" not in str(error.value) and str(out) in str(error.value)
        with pytest.raises(InputError):
            write(SceneMap(), out)
    assert (tmp_path / "full" / "thesis.tex").read_text() == "x"
    check_out(tmp_path / "new" / "er")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="permission"):
        check_out(tmp_path / "locked" / "map")
