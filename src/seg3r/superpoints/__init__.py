"""Points, edges, faces -> superpoints: pieces of even orientation that no thing's border crosses."""

from __future__ import annotations

from seg3r.superpoints.graph import graph_superpoints, segment_graph
from seg3r.superpoints.mesh import mesh_superpoints, read_mesh

__all__ = ["graph_superpoints", "mesh_superpoints", "read_mesh", "segment_graph"]
