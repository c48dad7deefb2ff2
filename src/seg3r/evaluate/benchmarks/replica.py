"""Replica (Straub et al., 2019) as OpenMask3D (NeurIPS 2023) evaluates it: 48 of its classes on 8 scenes."""

from __future__ import annotations

from seg3r.evaluate.benchmarks.protocol import Protocol

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
