"""All that reads files which were made elsewhere, each with a sample."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import trimesh
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from seg3r.datasets.catalogue import dataset_called
from seg3r.datasets.rooms import read_truth
from seg3r.datasets.scannet import SCANNET200
from seg3r.datasets.scannet_text import write_ground_truth, write_prediction
from seg3r.datasets.scenefun3d import read_queries, read_scenefun3d
from seg3r.describe.facts import survey, tell
from seg3r.describe.records import instance_records
from seg3r.embed.refined_queries import load_refiner
from seg3r.evaluate.text_files import evaluate_folder
from seg3r.id_maps import folder_reader
from seg3r.label.vocabulary import read_vocabulary
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.scene import SceneMap
from seg3r.scene.combine import select
from seg3r.segment.saved import SavedMasks
from seg3r.sources import open_source
from seg3r.superpoints.mesh import read_mesh
from seg3r.train.loop import learn
from seg3r.types import Camera, Frame, View
from seg3r.weights.convert import convert
from tests.datasets import lookalikes
from tests.fuzzing.attack import Reader
from tests.maps import table_map
from tests.sources import layouts

POINTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
SIZE = (12, 16)


def _read_recording(root: Path, name: str = "") -> None:
    recording = open_source(root / name)
    json.dumps(recording.describe(), default=str)
    for frame in recording:
        assert frame.depth is None or bool(torch.isfinite(frame.depth).all())


def _write_images(root: Path) -> None:
    for n, moment in enumerate(layouts.moments(3)):
        Image.fromarray(moment.rgb).save(root / f"{n}.{('png', 'jpg', 'bmp')[n]}")


def _write_video(root: Path, suffix: str) -> None:
    with av.open(str(root / f"walk{suffix}"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(4):
            rgb = np.full((48, 64, 3), 20 + 40 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


@cache
def _view() -> View:
    frame = Frame(0, 0.0, torch.zeros((*SIZE, 3), dtype=torch.uint8))
    K = torch.tensor([[20.0, 0, 7.5], [0, 20.0, 5.5], [0, 0, 1]], dtype=torch.float64)
    depth = torch.ones(SIZE)
    camera = Camera(K, torch.eye(4, dtype=torch.float64), SIZE)
    return View(frame, camera, depth, torch.zeros((*SIZE, 3)), depth)


def _write_masks(root: Path) -> None:
    ids = np.zeros(SIZE, np.uint16)
    ids[2:6, 2:6], ids[7:, 9:] = 1, 300
    Image.fromarray(ids).save(root / "00000.png")
    notes = [{"id": 1, "label": "chair", "score": 0.9}, {"id": 300, "label": None}]
    (root / "00000.json").write_text(json.dumps(notes))


def _read_masks(root: Path) -> None:
    masks = SavedMasks(folder_reader(root))(_view())
    "".join(name or "" for name in masks.names or ()).encode()


def _write_geometry(root: Path) -> None:
    for folder in ("depth", "poses", "confidence"):
        (root / folder).mkdir()
    np.savetxt(root / "intrinsics.txt", _view().camera.K.numpy())
    depth = np.full(SIZE, 1500, np.uint16)
    Image.fromarray(depth).save(root / "depth" / "00000.png")
    np.save(root / "depth" / "00001.npy", depth.astype(np.float32) / 1000)
    for n in range(2):
        np.savetxt(root / "poses" / f"{n:05d}.txt", np.eye(4))
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(root / "confidence" / "00000.png")


def _read_geometry(root: Path) -> None:
    saved = SavedGeometry(root)
    for index in range(2):
        for view in saved(Frame(index, 0.0, torch.zeros((2 * SIZE[0], 2 * SIZE[1], 3), dtype=torch.uint8))):
            assert bool(torch.isfinite(view.points).all())


def _write_map(root: Path) -> None:
    table_map(3).save(root / "scene.safetensors")


def _read_map(root: Path) -> None:
    """And what `ask`, the page and the next run do with it."""
    scene = SceneMap.load(root / "scene.safetensors")
    json.dumps(instance_records(scene), allow_nan=False).encode()
    "".join(tell(survey(scene), scene.names)).encode()
    for keyframe in scene.keyframes:
        select(scene, frame=keyframe.frame_index)
    ids = scene.ids.tolist()
    if len(ids) > 1:
        scene.merge(ids[0], ids[1])
    scene.save(root.parent / "again.safetensors")


def _write_truth(root: Path, suffix: str) -> None:
    if suffix == ".ply":
        lookalikes.write_ply(root / "points.ply", POINTS, np.array([[0, 1, 2]]))
    else:
        np.save(root / "points.npy", POINTS.astype(np.float64))
    write_ground_truth(root / "ids.txt", np.arange(len(POINTS)) % 3 + 5001)


def _read_truth(root: Path, suffix: str) -> None:
    read_truth(root / f"points{suffix}", root / "ids.txt")


def _write_predictions(root: Path) -> None:
    for folder in ("gt", "said"):
        (root / folder).mkdir()
    for scene in ("a", "b"):
        write_ground_truth(root / "gt" / f"{scene}.txt", np.repeat([5001, 5002, 0, 7003], 150))
        lists = [np.arange(150), np.arange(150, 300)]
        prediction = ScenePrediction.from_lists(lists, 600, np.array([5, 7]), np.array([0.5, 1]))
        write_prediction(root / "said", scene, prediction)


def _read_predictions(root: Path) -> None:
    evaluate_folder(root / "gt", root / "said", SCANNET200)


def _write_scannet(root: Path) -> None:
    lookalikes.write_label_table(root)
    segments = [0, 0, 3, 3, 7, 7, 9, 9, 9, 9, 1, 1]
    lookalikes.write_scannet(root, "s", POINTS, segments, [("chair", [0, 3]), ("wall", [9])])


def _write_replica(root: Path) -> None:
    faces = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
    lookalikes.write_replica(root / "s" / "habitat", POINTS, faces, np.array([4, 7, 7]), {4: 20, 7: 0})
    (root / "s" / "results").mkdir()


def _write_preprocessed(root: Path) -> None:
    lookalikes.write_ply(root / "s" / "s_mesh.ply", POINTS, np.array([[0, 1, 2]]), order=">")
    lookalikes.write_lines(root / "ground_truth" / "s.txt", [5001] * len(POINTS))
    (root / "s" / "results").mkdir()


def _write_scannetpp(root: Path) -> None:
    objects = [("table", [0, 1, 2]), ("books", [3, 4]), ("odd thing", [5]), ("wall", [6, 7])]
    lookalikes.write_scannetpp(root, "s", POINTS, objects, [11])


def _write_scenefun3d(root: Path) -> None:
    elements = [("rotate", [0, 1]), ("exclude", [5]), ("tip_push", [7, 8])]
    tasks = [("open it", [0]), ("both", [0, 2])]
    lookalikes.write_scenefun3d(root, "9", POINTS, elements, tasks, np.arange(len(POINTS)) < 9)


def _read_dataset(root: Path, name: str, scene: str) -> None:
    data_set = dataset_called(name)
    data_set.scenes(root)
    truth = data_set.truth(root, scene)
    assert truth.vertices.shape == (len(truth.ids), 3)


def _read_scenefun3d(root: Path) -> None:
    _read_dataset(root, "scenefun3d", "9")
    read_scenefun3d(root / "9", crop=True)
    for query in read_queries(root / "9", crop=True)[1]:
        query.text.encode()


def _write_words(root: Path) -> None:
    (root / "words.txt").write_text("# rooms\nchair, armchair\ntable\tdesk\nlamp\n", encoding="utf-8")


def _read_words(root: Path) -> None:
    " ".join(read_vocabulary(root / "words.txt").words).encode()


def _write_checkpoint(root: Path) -> None:
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}
    torch.save({"model": weights, "epoch": 3}, root / "new.pth")
    torch.save({"state_dict": weights}, root / "old.pth", _use_new_zipfile_serialization=False)


def _convert(root: Path) -> None:
    for name in ("new", "old"):
        convert(root / f"{name}.pth", root.parent / "converted.safetensors")


def _write_mesh(root: Path) -> None:
    box = trimesh.creation.box((1, 2, 3))
    (root / "box.ply").write_bytes(trimesh.exchange.ply.export_ply(box, encoding="ascii"))
    box.export(root / "box.obj")
    box.export(root / "box.stl")
    texture = b"comment TextureFile nowhere.png\nelement vertex"
    (root / "textured.ply").write_bytes((root / "box.ply").read_bytes().replace(b"element vertex", texture, 1))


def _read_meshes(root: Path) -> None:
    for name in ("box.ply", "box.obj", "box.stl", "textured.ply"):
        read_mesh(root / name)


SIZES = QueryRefinerConfig(tokens=3, features=5, width=8, heads=2, ffn=8, psi=8, layers=1)


def _write_refiner(root: Path) -> None:
    save_file(QueryRefiner(SIZES).state_dict(), root / "model.safetensors")
    (root / "config.json").write_text(json.dumps(dataclasses.asdict(SIZES)))


@cache
def _loss_of(model: nn.Module) -> Any:
    return lambda step: sum((p * p).sum() for p in model.parameters())


def _train(out: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    learn(model, _loss_of(model), 3, out=out, peak=1e-2, warmup=1)


def _resume_training(root: Path) -> None:
    """In a copy: it writes beside the checkpoint."""
    copy = root.parent / "resumed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy)
    _train(copy)


READERS: tuple[Reader, ...] = (
    *(
        Reader(f"source {name}", lambda root, write=write: write(root, layouts.moments(3)), _read_recording)
        for name, write in layouts.WRITERS.items()
    ),
    Reader("source images", _write_images, _read_recording),
    *(
        Reader(f"source {suffix}", partial(_write_video, suffix=suffix), partial(_read_recording, name=f"walk{suffix}"))
        for suffix in (".mp4", ".avi")
    ),
    Reader("masks", _write_masks, _read_masks),
    Reader("geometry", _write_geometry, _read_geometry),
    Reader("map", _write_map, _read_map, 0.5),
    *(
        Reader(f"truth {suffix}", partial(_write_truth, suffix=suffix), partial(_read_truth, suffix=suffix))
        for suffix in (".ply", ".npy")
    ),
    Reader("predictions", _write_predictions, _read_predictions),
    Reader("data set scannet200", _write_scannet, partial(_read_dataset, name="scannet200", scene="s")),
    Reader("data set replica", _write_replica, partial(_read_dataset, name="replica", scene="s")),
    Reader("data set preprocessed", _write_preprocessed, partial(_read_dataset, name="replica", scene="s")),
    Reader("data set scannetpp", _write_scannetpp, partial(_read_dataset, name="scannetpp", scene="s")),
    Reader("data set scenefun3d", _write_scenefun3d, _read_scenefun3d),
    Reader("vocabulary", _write_words, _read_words),
    Reader("weights convert", _write_checkpoint, _convert),
    Reader("mesh", _write_mesh, _read_meshes),
    Reader("query refiner", _write_refiner, load_refiner),
    Reader("training checkpoint", _train, _resume_training, 0.5),
)
