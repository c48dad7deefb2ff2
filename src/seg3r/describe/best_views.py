"""SceneMap -> the few views of an instance that show it best."""

from __future__ import annotations

import torch

from seg3r.geometry import invert, project, transform
from seg3r.scene import SceneMap
from seg3r.types import Sighting

LARGE_PX = 96**2
"""A sighting of so many pixels is large enough."""
APART_COS = 0.966
"""Views from within 15 degrees count as one, where there are others (docs/opentrack3d.md, 3.9)."""


def best_views(scene: SceneMap, instance_id: int, k: int = 3) -> tuple[Sighting, ...]:
    """At most k of an instance's sightings, best first: by the share of the finished instance inside the camera's view
    (the paper's criterion) times min(1, sqrt(area / 96^2)), from directions at least 15 degrees apart while there are
    such.
    """
    sightings = scene.sightings.get(instance_id, ())
    if not sightings:
        return ()
    points = scene.places_of(instance_id)
    score = {id(each): share_in_view(points, each) * min(1.0, (each.area / LARGE_PX) ** 0.5) for each in sightings}
    ranked = sorted(sightings, key=lambda sighting: (-score[id(sighting)], sighting.frame_index))
    chosen: list[Sighting] = []
    for sighting in ranked:
        if len(chosen) < k and all(float(sighting.direction @ other.direction) < APART_COS for other in chosen):
            chosen.append(sighting)
    for sighting in ranked:
        if len(chosen) < k and all(sighting is not other for other in chosen):
            chosen.append(sighting)
    return tuple(chosen)


def share_in_view(points: torch.Tensor, sighting: Sighting) -> float:
    """Of points [n 3] (world): how many project into the sighting's frame, whatever stands before them."""
    if not len(points):
        return 1.0
    camera = sighting.camera
    uv, z = project(transform(invert(camera.T_world_cam), points.double()), camera.K)
    inside = (z > 0) & (uv >= -0.5).all(-1) & (uv[:, 0] < camera.size[1] - 0.5) & (uv[:, 1] < camera.size[0] - 0.5)
    return float(inside.double().mean())
