"""Replica (Straub et al., 2019) as OpenMask3D (NeurIPS 2023) evaluates it: 48 of its classes on 8 scenes.

Replica: faces of `habitat/mesh_semantic.ply` name objects, `habitat/info_semantic.json` their classes.

Also the layout of OpenMask3D and OpenYOLO3D: `SCENE_mesh.ply` and `ground_truth/SCENE.txt`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int, Int64

from seg3r.datasets.read import instance_id, label_number, read_json_key, read_ply, read_preprocessed, vertices_of
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.metrics.protocol import Protocol
from seg3r.reading import reading

REPLICA = Protocol(
    "replica",
    (
        3, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 26, 29, 34, 35, 37, 44, 47, 52, 54, 56, 59, 60,
        61, 62, 63, 64, 65, 70, 71, 76, 78, 79, 80, 82, 83, 87, 88, 91, 92, 95, 97, 98,
    ),
    (
        "basket", "bed", "bench", "bin", "blanket", "blinds", "book", "bottle", "box", "bowl", "camera", "cabinet",
        "candle", "chair", "clock", "cloth", "comforter", "cushion", "desk", "desk-organizer", "door",
        "indoor-plant", "lamp", "monitor", "nightstand", "panel", "picture", "pillar", "pillow", "pipe",
        "plant-stand", "plate", "pot", "sculpture", "shelf", "sofa", "stool", "switch", "table", "tablet",
        "tissue-paper", "tv-screen", "tv-stand", "vase", "vent", "wall-plug", "window", "rug",
    ),
)
"""48 classes under the class ids of Replica's `info_semantic.json`."""

REPLICA_SCENES = ("office0", "office1", "office2", "office3", "office4", "room0", "room1", "room2")
"""The scenes of NICE-SLAM's renderings; Replica itself writes office_0."""

SHIPPED = ("habitat", "textures")
"""Folders of a scene as Replica ships it."""


def read_replica(habitat: Path) -> Truth:
    """The released files of one scene. A vertex takes the object that most of its faces name, the lower id on a tie.

    The label is the class id, the instance the object's rank by id among the scene's (object ids may pass 999).

    Raises:
        InputError: a file that is absent or malformed.
    """
    mesh, info = habitat / "mesh_semantic.ply", habitat / "info_semantic.json"
    columns = read_ply(mesh, ("vertex", "face"))
    vertices, faces = vertices_of(mesh, columns["vertex"]), columns["face"]
    corners = faces.get("vertex_indices", faces.get("vertex_index"))
    if corners is None or "object_id" not in faces:
        raise InputError(f"{mesh}: its faces need vertex_indices and object_id; take the one in habitat/")
    if corners.size and not 0 <= corners.min() <= corners.max() < len(vertices):
        raise InputError(f"{mesh}: a face names a vertex that is not there; fetch it again")
    with reading(info, "objects with id and class_id", "fetch it again"):
        objects = read_json_key(info, "objects")
        classes = {int(thing["id"]): label_number(max(0, int(thing["class_id"]))) for thing in objects}
    ids = {
        thing: instance_id(classes[thing], rank, info) if classes[thing] > 0 else 0
        for rank, thing in enumerate(sorted(classes), 1)
    }
    objects = objects_of_vertices(corners.astype(np.int64), faces["object_id"].astype(np.int64), len(vertices))
    present, of_vertex = np.unique(objects, return_inverse=True)
    values = np.array([ids.get(int(thing), 0) for thing in present], np.int64)
    return Truth(vertices, values[of_vertex.reshape(-1)])


def objects_of_vertices(
    corners: Int[np.ndarray, "f s"], objects: Int[np.ndarray, "f"], vertex_count: int
) -> Int64[np.ndarray, "v"]:
    """The commonest object among the faces at each vertex (the lowest on a tie); -1 where there is no face."""
    pairs = np.stack((corners.reshape(-1), np.repeat(objects, corners.shape[1] if corners.ndim == 2 else 0)))
    unique, counts = np.unique(pairs, axis=1, return_counts=True)
    order = np.lexsort((unique[1], -counts, unique[0]))
    vertex, thing = unique[:, order]
    first = np.append(True, vertex[1:] != vertex[:-1])[: len(vertex)]
    found = np.full(vertex_count, -1, np.int64)
    found[vertex[first]] = thing[first]
    return found


def replica_scenes(folder: Path) -> list[str]:
    """Scenes with frames, and truth in one of the two layouts."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and _may_hold_frames(p) and _files(folder, p.name))


def _may_hold_frames(scene: Path) -> bool:
    """Replica ships meshes, not frames: a folder with nothing but its own folders in it is no recording."""
    return any(p.is_dir() and p.name not in SHIPPED for p in scene.iterdir())


def replica_recording(folder: Path, scene: str) -> Path:
    return folder / scene


def replica_truth(folder: Path, scene: str) -> Truth:
    files = _files(folder, scene)
    if files is None:
        raise InputError(
            f"{folder}: no truth of {scene}; looked for ground_truth/{scene}.txt with {scene}_mesh.ply, and for "
            f"{scene}/habitat/mesh_semantic.ply"
        )
    return read_replica(files) if isinstance(files, Path) else read_preprocessed(*files)


def _files(folder: Path, scene: str) -> Path | tuple[Path, Path] | None:
    """Mesh and ids, or the folder habitat/ (NICE-SLAM writes office0 where Replica writes office_0)."""
    meshes = [p for p in (folder / scene / f"{scene}_mesh.ply", folder / f"{scene}_mesh.ply") if p.is_file()]
    text = folder / "ground_truth" / f"{scene}.txt"
    if meshes and text.is_file():
        return meshes[0], text
    for name in (scene, f"{scene[:-1]}_{scene[-1]}"):
        if (folder / name / "habitat" / "mesh_semantic.ply").is_file():
            return folder / name / "habitat"
    return None
