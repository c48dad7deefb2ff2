"""SceneFun3D (Delitzas et al., CVPR 2024): functional elements, some of a few points only."""

from __future__ import annotations

from seg3r.evaluate.benchmarks.protocol import EXCLUDED_ID, Protocol

SCENEFUN3D = Protocol(
    "scenefun3d",
    tuple(range(1, 10)),
    (
        "rotate", "key_press", "tip_push", "hook_pull", "pinch_pull", "hook_turn", "foot_push", "plug_in", "unplug",
    ),
    min_region=1, void="wrong", excluded_id=EXCLUDED_ID,
)
"""Task 1, functionality segmentation: 9 affordances."""

SCENEFUN3D_QUERIES = Protocol(
    "scenefun3d-queries", (1,), ("functional_element",), min_region=1, void="wrong", excluded_id=EXCLUDED_ID
)
"""Task 2, grounding: the elements that one task description asks for."""
