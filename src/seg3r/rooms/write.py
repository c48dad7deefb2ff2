"""A room's recording as an RGB-D folder with truth."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from seg3r.errors import InputError
from seg3r.rooms.classes import CLASSES
from seg3r.rooms.cloud import sample_surface, seen_by
from seg3r.rooms.language import questions
from seg3r.rooms.noise import frame_noise
from seg3r.rooms.path import camera_path
from seg3r.rooms.render import Renderer, renderer_of
from seg3r.rooms.room import Room, build_room
from seg3r.types import Camera

SPACING_M = 0.015
"""Of the labelled cloud."""


def write_room(
    seed: int, frames: int, size: tuple[int, int], depth: str, out: Path
) -> None:
    """Render the walk of a seed into a new folder, which appears whole.

    color/NNNNN.jpg, depth/NNNNN.png (u16, millimetres), poses/NNNNN.txt (camera to world), intrinsics.txt; truth/ with
    instances/ and classes/ (u16), objects.json, cloud.ply and ids.txt (what the walk saw; class * 1000 + instance, 0 =
    structure), questions.json.

    Args:
        seed: of room and walk.
        frames: number of them.
        size: (H, W).
        depth: as `RoomsSource`.
        out: must not exist, or be empty.

    Raises:
        InputError: `out` is taken, or depth is neither clean nor noisy.
    """
    out = Path(out)
    if depth not in ("clean", "noisy"):
        raise InputError(f"depth is clean or noisy, not {depth!r}")
    if out.exists() and (not out.is_dir() or next(out.iterdir(), None) is not None):
        raise InputError(f"{out}: exists already; choose a new folder")
    room = build_room(seed)
    cameras = camera_path(room, frames, seed, size)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        temporary.chmod(0o755)
        renderer = renderer_of(room)
        _write_frames(renderer, cameras, seed, depth, temporary)
        _write_truth(renderer, room, cameras, temporary / "truth")
        if out.exists():
            out.rmdir()
        temporary.replace(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_frames(renderer: Renderer, cameras: Sequence[Camera], seed: int, depth: str, out: Path) -> None:
    for name in ("color", "depth", "poses", "truth/instances", "truth/classes"):
        (out / name).mkdir(parents=True)
    np.savetxt(out / "intrinsics.txt", cameras[0].K.numpy(), fmt="%.10g")
    for index, camera in enumerate(cameras):
        stem = f"{index:05d}"
        rendered = renderer.render(camera)
        measured = rendered.depth
        if depth == "noisy":
            measured = frame_noise(rendered.depth, rendered.cosine, float(camera.K[0, 0]), seed, index)
        Image.fromarray(rendered.rgb.numpy()).save(out / "color" / f"{stem}.jpg", quality=95, subsampling=0)
        millimetres = np.round(measured.numpy() * 1000).astype(np.uint16)
        Image.fromarray(millimetres).save(out / "depth" / f"{stem}.png")
        np.savetxt(out / "poses" / f"{stem}.txt", camera.T_world_cam.numpy(), fmt="%.12g")
        for name, ids in (("instances", rendered.instances), ("classes", rendered.classes)):
            Image.fromarray(ids.numpy()).save(out / "truth" / name / f"{stem}.png")


def _write_truth(renderer: Renderer, room: Room, cameras: Sequence[Camera], out: Path) -> None:
    samples = sample_surface(room, SPACING_M)
    seen = seen_by(room, samples, cameras)
    face = samples.face[seen]
    instances, classes = room.face_instance[face], room.face_class[face]
    colors = renderer.surface_colors(face, samples.u[seen], samples.v[seen])
    cloud = trimesh.PointCloud(samples.points[seen], colors)  # type: ignore[no-untyped-call]
    cloud.export(out / "cloud.ply")  # type: ignore[no-untyped-call]
    ids = np.where(instances > 0, classes * 1000 + instances, 0)
    (out / "ids.txt").write_text("".join(f"{i}\n" for i in ids.tolist()), encoding="ascii")
    about = {
        "seed": room.seed, "kind": room.kind, "size_m": room.size, "classes": CLASSES,
        "objects": [asdict(o) for o in room.objects],
    }
    (out / "objects.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    asked = [asdict(q) for q in questions(room, {int(i) for i in np.unique(instances)})]
    (out / "questions.json").write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
