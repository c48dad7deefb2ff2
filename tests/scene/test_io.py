"""A map on disk."""

from __future__ import annotations

import filecmp
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from seg3r.errors import InputError
from seg3r.scene import SceneMap, io
from seg3r.scene.io import FORMAT
from seg3r.types import Labels
from tests.loops import Looks, Sloppy, assert_same_map, assert_sound, mapper_of, run
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 12, (60, 80))
Arrays = dict[str, Any]
Hostile = Callable[[Arrays, dict[str, Any]], tuple[Arrays, dict[str, Any]]]
LOOKS = Looks(WALKED, {2: (1, 0, 0), 3: (0, 1, 0), 4: (0, 1, 0.2), 5: (0, 0.3, 1)})


@pytest.fixture(scope="module")
def living() -> SceneMap:
    """Instances have come, gone and been merged; rows have been used again."""
    scene = run(mapper_of(WALKED, Sloppy(WALKED), LOOKS), WALKED)
    assert scene.next_id > len(scene) > 2
    assert any(scene.became(i) != i for i in range(scene.next_id))
    scene.name_votes[int(scene.ids[0])] = {"z": 0.1, "a cup": 1 / 3}
    return scene


def test_save_load_save_is_the_same_file(living: SceneMap, tmp_path: Path) -> None:
    living.save(tmp_path / "a")
    back = SceneMap.load(tmp_path / "a")
    assert_same_map(living, back)
    assert_sound(back)
    back.save(tmp_path / "b")
    living.save(tmp_path / "c")
    assert filecmp.cmp(tmp_path / "a", tmp_path / "b", shallow=False)
    assert filecmp.cmp(tmp_path / "a", tmp_path / "c", shallow=False)


@pytest.mark.parametrize("stop", [0, 1, 5, 9])
def test_a_map_goes_on_after_load_as_it_would_have(stop: int, tmp_path: Path) -> None:
    through = run(mapper_of(WALKED, Sloppy(WALKED), LOOKS), WALKED)
    run(mapper_of(WALKED, Sloppy(WALKED), LOOKS, scene=(part := SceneMap())), WALKED[:stop])
    part.save(tmp_path / "m")
    resumed = mapper_of(WALKED, Sloppy(WALKED), LOOKS, scene=SceneMap.load(tmp_path / "m"))
    assert any(part.became(i) != i for i in range(part.next_id)) == (stop > 1), "merged before the stop"
    assert_same_map(through, run(resumed, WALKED[stop:]))


def test_who_became_whom_is_saved(living: SceneMap, tmp_path: Path) -> None:
    """Also over two steps, of which the first was taken before the map was saved; a file of an earlier version has
    nothing to tell."""
    scene = living.copy()
    first, second, third = scene.ids.tolist()[:3]
    scene.merge(second, first)
    scene.save(tmp_path / "m")
    back = SceneMap.load(tmp_path / "m")
    assert back.became(first) == second and back.became(third) == third
    back.merge(third, second)
    assert back.became(first) == back.became(second) == third
    back.save(tmp_path / "n")
    again = SceneMap.load(tmp_path / "n")
    assert [again.became(i) for i in range(again.next_id)] == [back.became(i) for i in range(back.next_id)]
    header = json.loads((data := (tmp_path / "n").read_bytes())[8 : 8 + int.from_bytes(data[:8], "little")])
    arrays = load_file(tmp_path / "n")
    del arrays["merged_into"]
    save_file(arrays, tmp_path / "earlier", metadata=header["__metadata__"])
    earlier = SceneMap.load(tmp_path / "earlier")
    assert [earlier.became(i) for i in range(earlier.next_id)] == list(range(back.next_id))
    assert torch.equal(earlier.ids, back.ids)


def test_an_emptied_map_still_never_reuses_an_id(living: SceneMap, tmp_path: Path) -> None:
    empty = living.copy()
    empty.drop(empty.ids.tolist())
    empty.save(tmp_path / "m")
    back = SceneMap.load(tmp_path / "m")
    assert (len(back), back.point_count) == (0, living.point_count)
    run(mapper_of(WALKED, Sloppy(WALKED), scene=back), WALKED[:2])  # of another width: no descriptors at all
    assert int(back.ids.min()) >= living.next_id


def test_what_is_no_map_is_refused(living: SceneMap, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    living.save(whole)
    data = whole.read_bytes()
    bad: dict[str, bytes] = {
        "empty": b"", "text": b"hello, I am no map", "half": data[: len(data) // 2], "header": data[:100],
        "longer": data + b"\0" * 7,
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    save_file({"a": np.zeros(3)}, tmp_path / "foreign", metadata={"who": "other"})
    save_file({"a": np.zeros(3)}, tmp_path / "bare")
    arrays = load_file(whole)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    save_file({n: a for n, a in arrays.items() if n != "edge.hits"}, tmp_path / "lacks an array", metadata=header)
    save_file(arrays, tmp_path / "bad json", metadata={FORMAT: "{"})
    save_file(arrays, tmp_path / "lacks a key", metadata={FORMAT: "{}"})
    wild = dict(arrays, **{"edge.point": arrays["edge.point"] + 10**8})
    save_file(wild, tmp_path / "points at nothing", metadata=header)
    short = dict(arrays, **{"edge.hits": arrays["edge.hits"][:-1]})
    save_file(short, tmp_path / "one short", metadata=header)
    crooked = dict(arrays, **{"point.color": arrays["point.color"][:-1]})
    save_file(crooked, tmp_path / "a colour short", metadata=header)
    alive = int(living.ids[0])
    a, b = [i for i in range(living.next_id) if i not in living.ids.tolist()][:2]
    mergers = {"in a circle": [[a, b], [b, a]], "never given": [[a, 10**6]], "of the living": [[alive, a]]}
    for name, pairs in mergers.items():
        save_file(dict(arrays, merged_into=np.array(pairs)), tmp_path / name, metadata=header)
    (tmp_path / "folder").mkdir()
    for name in [*bad, "foreign", "bare", "absent", "folder", "lacks an array", "bad json", "lacks a key",
                 "points at nothing", "one short", "a colour short", *mergers]:
        with pytest.raises(InputError) as caught:
            SceneMap.load(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_failed_save_leaves_the_old_map_and_nothing_else(
    living: SceneMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    living.save(path)
    before = path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]

    def full(arrays: object, file: Path, metadata: object = None) -> None:
        Path(file).write_bytes(b"half of it")
        raise SafetensorError("no space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(InputError, match=r"m: cannot be written \(no space left on device\)"):
        living.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_map_without_anything_reads_back(tmp_path: Path) -> None:
    scene = SceneMap(0.03, 0.07)
    scene.save(tmp_path / "m")
    back = SceneMap.load(tmp_path / "m")
    assert_same_map(scene, back)
    assert torch.equal(back.owners, torch.zeros(0, 2, dtype=torch.int64))


def _header(key: str, value: object) -> Hostile:
    return lambda arrays, header: (arrays, {**header, key: value})


def _inside(key: str, **changed: object) -> Hostile:
    """Of the first sighting, or of the keyframes."""
    def hostile(arrays: Arrays, header: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
        held = header[key]
        wrong = [{**held[0], **changed}, *held[1:]] if key == "sightings" else {**held, **changed}
        return arrays, {**header, key: wrong}
    return hostile


def _array(name: str, change: Callable[[Any], Any]) -> Hostile:
    return lambda arrays, header: ({**arrays, name: np.ascontiguousarray(change(arrays[name].copy()))}, header)


def _put(value: float) -> Callable[[Any], Any]:
    def put(array: Any) -> Any:
        array.flat[0] = value
        return array
    return put


HOSTILE: dict[str, Hostile] = {
    **{f"voxel_m {v!r}": _header("voxel_m", v) for v in (0, -1, math.nan, math.inf, 1e-300, "x", None, [], True)},
    **{f"visible_m {v!r}": _header("visible_m", v) for v in (-1, math.nan, math.inf, 1e308, None)},
    **{f"frames {v!r}": _header("frames", v) for v in (-1, math.nan, math.inf, 10**30, {})},
    **{f"next_id {v!r}": _header("next_id", v) for v in (-1, 0, 10**30, "x", None)},
    **{f"name_votes {v!r}": _header("name_votes", v) for v in (
        None, [1], {"x": {}}, {"1": 3}, {"1": {"chair": math.nan}}, {"1": {"chair": "x"}}, {"1": {"chair": -1}},
    )},
    **{f"sightings {v!r}": _header("sightings", v) for v in (None, {}, [], [3], [{}])},
    **{f"a sighting's {k} {v!r}": _inside("sightings", **{k: v}) for k, v in (
        ("size", [0, 0]), ("size", [-2, -3]), ("size", [10**9, 10**9]), ("size", "xy"), ("box", [0, 0, -1, 5]),
        ("box", [1, 2]), ("score", math.nan), ("score", None), ("area", math.inf), ("direction", [1, 2]),
        ("direction", [math.inf, 0, 0]), ("image", [0, 5]), ("id", -1), ("frame", 1e308),
    )},
    **{f"keyframes' {k} {v!r}": _inside("keyframes", **{k: v}) for k, v in (
        ("spacing", 0), ("spacing", math.nan), ("frames", []), ("frames", None), ("sizes", [[1, 1]]), ("sizes", 3),
        ("names", [[3]]), ("names", 3), ("names", ["abc"]),
    )},
    **{f"name_labels {v!r}": _header("name_labels", v) for v in (
        None, [1], {"x": ["a", 1.0]}, {"1": "a"}, {"1": [3, 1.0]}, {"1": ["a", math.nan]}, {"1": ["a"]},
    )},
    **{f"origin {v!r}": _header("origin", v) for v in ([1, 2], [math.nan, 0, 0], "xyz", 3, [10**400, 0, 0])},
    "keyframes gone": _header("keyframes", None),
    "an id twice": _array("instance.id", lambda a: np.repeat(a[:1], len(a))),
    "an id below zero": _array("instance.id", _put(-5)),
    "an id that was never given": _array("instance.id", _put(10**9)),
    "fewer than no observations": _array("instance.observations", _put(-1)),
    "fewer than no hits": _array("edge.hits", _put(-7)),
    "a full gallery and more": _array("instance.in_gallery", _put(99)),
    "a wide descriptor": lambda arrays, header: (
        {**arrays, "instance.feature": np.zeros((0, 1 << 40), np.float32)}, header),
    "a point nowhere": _array("point.position", _put(math.nan)),
    "a point too far": _array("point.position", _put(1e30)),
    "points of integers": _array("point.position", lambda a: a.astype(np.int32)),
    "a map that is no place": _array("T_map_world", lambda a: a * 0),
    "a map of three rows": _array("T_map_world", lambda a: a[:3]),
    "an edge of no instance": _array("edge.instance", _put(10**6)),
    "an edge below zero": _array("edge.point", _put(-1)),
    "an edge twice": lambda arrays, header: (
        {**arrays, **{n: np.concatenate((a[:1], a[:-1])) for n, a in arrays.items() if n.startswith("edge.")}}, header),
    "edges of floats": _array("edge.point", lambda a: a.astype(np.float32)),
    "a camera without focus": _array("sighting.cameras", lambda a: a * 0),
    "cameras gone": _array("sighting.cameras", lambda a: a[:-1]),
    "half of the crops": _array("sighting.crops", lambda a: a[: len(a) // 2]),
    "a keyframe's mask of nobody": _array("keyframe.0.ids", _put(10**9)),
    "a keyframe's masks cut": _array("keyframe.0.masks", lambda a: a[:, :-1]),
    "a keyframe's depth cut": _array("keyframe.0.depth", lambda a: a[:-1]),
    "a keyframe's depth flat": _array("keyframe.0.depth", lambda a: a.ravel()),
    "a keyframe nowhere": _array("keyframe.0.T_world_cam", _put(math.nan)),
    "a keyframe's K of halves": _array("keyframe.0.K", lambda a: a.astype(np.float32)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_map_is_refused_in_one_line(what: str, living: SceneMap, tmp_path: Path) -> None:
    path = tmp_path / "map"
    living.save(path)
    arrays, header = io.read(path)
    arrays, header = HOSTILE[what](arrays, header)
    save_file(arrays, path, metadata={FORMAT: json.dumps(header)})
    with pytest.raises(InputError) as caught:
        SceneMap.load(path)
    assert str(path) in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_deep_json_and_half_a_surrogate(living: SceneMap, tmp_path: Path) -> None:
    path = tmp_path / "map"
    living.save(path)
    arrays, header = io.read(path)
    for text in ("[" * 200_000, "{}" * 3, "[]", "null"):
        save_file(arrays, path, metadata={FORMAT: text})
        with pytest.raises(InputError, match="cannot be read as a map"):
            SceneMap.load(path)
    header["name_votes"] = {str(int(living.ids[0])): {"half \ud800": 1.0, "\ud800": 2.0}}
    save_file(arrays, path, metadata={FORMAT: json.dumps(header)})
    assert SceneMap.load(path).name_votes == {int(living.ids[0]): {"half \ufffd": 1.0, "\ufffd": 2.0}}


# ---- formats ---------------------------------------------------------------------------------------------------------

OLD = Path(__file__).parents[1] / "data" / "scene"


def test_a_map_of_format_2_is_what_it_was(tmp_path: Path) -> None:
    """Against what the code of that format said of it; written anew it is format 3, and still the same."""
    told = json.loads((OLD / "format2.json").read_text())
    old = SceneMap.load(OLD / "format2.safetensors")
    old.save(tmp_path / "new")
    for scene in (old, SceneMap.load(tmp_path / "new")):
        for name in ("frames", "last_frame", "next_id", "voxel_m", "visible_m", "point_count"):
            assert getattr(scene, name) == told[name], name
        for name in ("ids", "sizes", "observations", "features"):
            assert getattr(scene, name).tolist() == told[name], name
        assert [scene.became(i) for i in range(scene.next_id)] == told["became"]
        assert (int(scene.hits.sum()), int(scene.views.sum())) == (told["hits"], told["views"])
        assert len(scene.owners) == told["edges"] and int(scene.colors.long().sum()) == told["colors"]
        assert scene.points.double().mean(0).tolist() == pytest.approx(told["points_mean"])
        assert [k.frame_index for k in scene.keyframes] == told["keyframes"]
        assert [k.instance_ids.tolist() for k in scene.keyframes] == told["keyframe_ids"]
        assert [k.masks.sum((1, 2)).tolist() for k in scene.keyframes] == told["mask_pixels"]
        assert all(k.names is None and k.scores is None and k.features is None for k in scene.keyframes)
        assert {str(i): votes for i, votes in scene.name_votes.items()} == told["name_votes"]
        assert list(scene.names) == told["names"] and scene.name_labels == {}
        assert scene.scores.tolist() == told["scores"], "by the rule that scored it then"
        looks = {str(i): [look.frame_index for look in scene.sightings.get(i, ())] for i in scene.ids.tolist()}
        assert looks == told["sightings"]
        assert scene.normals is None
        assert_sound(scene)
    assert_same_map(old, SceneMap.load(tmp_path / "new"))
    header = (tmp_path / "new").read_bytes()[:20_000]
    assert b"seg3r scene 3" in header and b"seg3r scene 2" not in header


def test_format_3_keeps_labels_scores_and_what_keyframes_knew(living: SceneMap, tmp_path: Path) -> None:
    scene = living.copy()
    labels = Labels(("mug", None, *("x",) * (len(scene) - 2)), torch.linspace(0, 1, len(scene)))
    scene.set_labels(labels)
    scene.save(tmp_path / "a")
    back = SceneMap.load(tmp_path / "a")
    assert_same_map(scene, back)
    assert back.names == scene.names == labels.names
    assert [back.name_labels[i][1] for i in back.ids.tolist()] == labels.scores.tolist()
    for k, q in zip(scene.keyframes, back.keyframes, strict=True):
        assert k.names == q.names
        assert k.scores is not None and q.scores is not None and torch.equal(k.scores, q.scores)
        assert k.features is not None and q.features is not None and torch.equal(k.features, q.features)
        assert k.features.dtype == torch.float16 and k.features.shape == (len(k), 3)
    back.save(tmp_path / "b")
    assert filecmp.cmp(tmp_path / "a", tmp_path / "b", shallow=False)


def test_crowded_points_of_a_damaged_file_are_refused(living: SceneMap, tmp_path: Path) -> None:
    """All points in one voxel: the lists of the grid must not run over."""
    living.save(tmp_path / "m")
    header = json.loads((data := (tmp_path / "m").read_bytes())[8 : 8 + int.from_bytes(data[:8], "little")])
    arrays = load_file(tmp_path / "m")
    count = max(5000, living.point_count)
    points = {n: np.resize(a, (count, *a.shape[1:])) for n, a in arrays.items() if n.startswith("point.")}
    points["point.position"] = np.zeros((count, 3), np.float32)
    save_file({**arrays, **points}, tmp_path / "crowded", metadata=header["__metadata__"])
    with pytest.raises(InputError, match=r"crowded: cannot be read as a map .*more than 3584 points in a cube"):
        SceneMap.load(tmp_path / "crowded")
    points["point.position"] = np.full((count, 3), np.nan, np.float32)
    save_file({**arrays, **points}, tmp_path / "nowhere", metadata=header["__metadata__"])
    with pytest.raises(InputError, match=r"nowhere: cannot be read as a map .*not finite"):
        SceneMap.load(tmp_path / "nowhere")
