"""Small data sets in the layout of the real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

LABEL_TABLE = "scannetv2-labels.combined.tsv"


def write_ply(
    path: Path, points: np.ndarray, faces: np.ndarray | None = None, objects: np.ndarray | None = None,
    order: str = "<",
) -> Path:
    """Vertices with colours; faces as uchar-counted lists, with an object each if given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = [(axis, order + "f4") for axis in "xyz"]
    vertices = np.zeros(len(points), [*axes, *((c, "u1") for c in ("red", "green", "blue"))])
    for i, axis in enumerate("xyz"):
        vertices[axis] = points[:, i]
    lines = [
        "ply", f"format binary_{'little' if order == '<' else 'big'}_endian 1.0", "comment made by a test",
        f"element vertex {len(points)}", *(f"property float {a}" for a in "xyz"),
        *(f"property uchar {c}" for c in ("red", "green", "blue")),
    ]
    body = vertices.tobytes()
    if faces is not None:
        fields: list[tuple] = [("n", "u1"), ("corners", order + "i4", (faces.shape[1],))]  # type: ignore[type-arg]
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        if objects is not None:
            fields.append(("object", order + "i4"))
            lines.append("property int object_id")
        rows = np.zeros(len(faces), fields)
        rows["n"], rows["corners"] = faces.shape[1], faces
        if objects is not None:
            rows["object"] = objects
        body += rows.tobytes()
    path.write_bytes(("\n".join([*lines, "end_header"]) + "\n").encode() + body)
    return path


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_lines(path: Path, lines: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_label_table(folder: Path) -> None:
    rows = ["id\traw_category\tcategory\tcount\tnyu40id", "2\tchair\tchair\t9\t5", "7\toffice desk\tdesk\t3\t14",
            "1\twall\twall\t9\t1", "4\ttable\ttable\t9\t7"]
    write_lines(folder / LABEL_TABLE, rows)


def write_scannet(
    folder: Path, scene: str, points: np.ndarray, segments: Sequence[int], objects: Sequence[tuple[str, Sequence[int]]]
) -> Path:
    """objects: (raw label, its segments), numbered from 0."""
    root = folder / scene
    write_ply(root / f"{scene}_vh_clean_2.ply", points)
    write_json(root / f"{scene}_vh_clean_2.0.010000.segs.json", {"sceneId": scene, "segIndices": list(segments)})
    groups = [
        {"id": i, "objectId": i, "segments": list(members), "label": label}
        for i, (label, members) in enumerate(objects)
    ]
    write_json(root / f"{scene}.aggregation.json", {"sceneId": scene, "segGroups": groups})
    return root


def write_replica(
    habitat: Path, points: np.ndarray, faces: np.ndarray, objects: np.ndarray, classes: Mapping[int, int]
) -> None:
    """classes: object -> class id."""
    write_ply(habitat / "mesh_semantic.ply", points, faces, objects)
    things = [{"id": thing, "class_id": number, "class_name": "x"} for thing, number in classes.items()]
    write_json(habitat / "info_semantic.json", {"objects": things})


def write_scannetpp(
    folder: Path, scene: str, points: np.ndarray, objects: Sequence[tuple[str, Sequence[int]]],
    masked: Sequence[int] = (),
) -> None:
    """One segment per vertex, as released."""
    scans, metadata = folder / "data" / scene / "scans", folder / "metadata" / "semantic_benchmark"
    write_ply(scans / "mesh_aligned_0.05.ply", points, np.array([[0, 1, 2]]))
    write_json(scans / "segments.json", {"segIndices": list(range(len(points)))})
    groups = [{"id": i, "objectId": i, "label": label, "segments": list(s)} for i, (label, s) in enumerate(objects, 1)]
    write_json(scans / "segments_anno.json", {"segGroups": groups})
    write_lines(scans / "mesh_aligned_0.05_mask.txt", masked)
    rows = ["class,count,semantic_map_to,instance_map_to", "books,9,book,book", "book,9,,", "wall,9,,", "chair,9,,",
            "reflection,3,None,None", "table,9,,", "odd thing,1,,"]
    write_lines(metadata / "map_benchmark.csv", rows)


def write_scenefun3d(
    folder: Path, visit: str, points: np.ndarray, annotations: Sequence[tuple[str, Sequence[int]]],
    queries: Sequence[tuple[str, Sequence[int]]] = (), crop: np.ndarray | None = None,
) -> None:
    """annotations: (label, points), called a0, a1 ...; queries: (text, numbers of annotations)."""
    root = folder / visit
    write_ply(root / f"{visit}_laser_scan.ply", points)
    listed = [{"annot_id": f"a{i}", "label": label, "indices": list(p)} for i, (label, p) in enumerate(annotations)]
    write_json(root / f"{visit}_annotations.json", {"visit_id": visit, "annotations": listed})
    asked = [
        {"desc_id": f"d{i}", "description": text, "annot_id": [f"a{n}" for n in meant]}
        for i, (text, meant) in enumerate(queries)
    ]
    write_json(root / f"{visit}_descriptions.json", {"visit_id": visit, "descriptions": asked})
    if crop is not None:
        np.save(root / f"{visit}_crop_mask.npy", crop)
