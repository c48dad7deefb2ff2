"""Superpoints of a mesh as ScanNet's Segmentator makes them.

Same partition as that program except where equal weights leave the order open; ours is stable, so the result is one.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor

from seg3r.errors import InputError
from seg3r.geometry import local_origin, narrowed
from seg3r.kernels import superpoints as kernel
from seg3r.reading import one_line, reading
from seg3r.superpoints.graph import check_graph, segment_graph


def mesh_superpoints(
    vertices: Float[np.ndarray, "n 3"], faces: Integer[np.ndarray, "f 3"], k: float = 0.01, min_verts: int = 20
) -> Int64[np.ndarray, "n"]:
    """Segment of every vertex of a mesh, 0.. by first appearance.

    Args:
        vertices: metres; those of a world far from its origin in double precision.
        faces: in file order, which the vertex normals depend on. Faces without area add edges but no normal.
        k: how much unevenness a small segment may take in (kThresh; ScanNet 0.01).
        min_verts: smaller segments join a neighbour if they have one (segMinVerts; ScanNet 20).

    Raises:
        InputError: a vertex that is not finite, a face that names no vertex.
    """
    check_graph(vertices, faces, "face")
    if len(vertices):
        vertices = vertices - local_origin(torch.tensor(vertices[0], dtype=torch.float64)).numpy()
    vertices, faces = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int64)
    edges = np.ascontiguousarray(faces[:, [0, 1, 0, 2, 2, 1]].reshape(-1, 2))
    weights = kernel.edge_weights(vertices, kernel.vertex_normals(vertices, faces), edges)
    return segment_graph(weights, edges, len(vertices), k, min_verts)


def read_mesh(path: Path) -> tuple[Float[np.ndarray, "n 3"], Int64[np.ndarray, "f 3"]]:
    """Vertices and triangles of a mesh file in its own order (PLY, OBJ, OFF, STL, GLB). Vertices are float32, doubles
    far from the world's origin.

    Raises:
        InputError: no such file, not a mesh, no faces.
    """
    import trimesh

    if not path.is_file():
        raise InputError(f"{path} does not exist")
    log = logging.getLogger("trimesh")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)  # it logs tracebacks, of a texture that is not there for one
    try:
        with reading(path, "a mesh"):
            mesh = trimesh.load(path, process=False, maintain_order=True)
            if isinstance(mesh, trimesh.Scene):
                mesh = mesh.to_geometry()
            if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
                raise InputError(f"{path} holds no faces; superpoints of a mesh need them")
            return narrowed(np.asarray(mesh.vertices, np.float64)), np.asarray(mesh.faces, np.int64)
    except InputError:
        raise
    except Exception as error:  # trimesh raises whatever its parsers meet, its own mistakes too
        raise InputError(f"{path}: cannot be read as a mesh ({one_line(error)}); give a PLY") from error
    finally:
        log.setLevel(level)


def read_superpoints(path: Path) -> tuple[Float[Tensor, "v 3"], Int64[Tensor, "v"]]:
    """Vertices of a mesh file and the superpoint of each, with ScanNet's numbers.

    Raises:
        InputError: as `read_mesh`.
    """
    vertices, faces = read_mesh(path)
    return torch.from_numpy(vertices), torch.from_numpy(mesh_superpoints(vertices, faces))
