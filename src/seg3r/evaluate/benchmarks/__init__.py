"""What is counted: the class lists, smallest instances and conventions of each benchmark."""

from __future__ import annotations

from seg3r.evaluate.benchmarks.protocol import EXCLUDED_ID, Protocol, protocol_from_classes
from seg3r.evaluate.benchmarks.replica import REPLICA, REPLICA_SCENES
from seg3r.evaluate.benchmarks.scannet import SCANNET20, SCANNET200
from seg3r.evaluate.benchmarks.scannetpp import SCANNETPP, SCANNETPP_SEMANTIC
from seg3r.evaluate.benchmarks.scenefun3d import SCENEFUN3D, SCENEFUN3D_QUERIES

__all__ = [
    "EXCLUDED_ID", "REPLICA", "REPLICA_SCENES", "SCANNET20", "SCANNET200", "SCANNETPP", "SCANNETPP_SEMANTIC",
    "SCENEFUN3D", "SCENEFUN3D_QUERIES", "Protocol", "protocol_from_classes",
]
