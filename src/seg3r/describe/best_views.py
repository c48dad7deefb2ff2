"""SceneMap -> the few looks at an instance that show it best."""

from __future__ import annotations

import torch

from seg3r.geometry import invert, project, transform
from seg3r.scene import SceneMap
from seg3r.types import Sighting

LARGE_PX = 96**2
"""A look of so many pixels is large enough."""
APART_COS = 0.966
"""Looks from within 15 degrees count as one, where there are others (docs/opentrack3d.md, 3.9)."""


def best_views(scene: SceneMap, instance_id: int, k: int = 3) -> tuple[Sighting, ...]:
    """At most k of the kept looks, best first: by the share of the finished instance inside the camera's view (the
    paper's criterion) times min(1, sqrt(area / 96^2)), from directions at least 15 degrees apart while there are such.
    """
    looks = scene.sightings.get(instance_id, ())
    if not looks:
        return ()
    points = scene.places_of(instance_id)
    score = {id(look): share_in_view(points, look) * min(1.0, (look.area / LARGE_PX) ** 0.5) for look in looks}
    ranked = sorted(looks, key=lambda look: (-score[id(look)], look.frame_index))
    chosen: list[Sighting] = []
    for look in ranked:
        if len(chosen) < k and all(float(look.direction @ other.direction) < APART_COS for other in chosen):
            chosen.append(look)
    for look in ranked:
        if len(chosen) < k and all(look is not other for other in chosen):
            chosen.append(look)
    return tuple(chosen)


def share_in_view(points: torch.Tensor, look: Sighting) -> float:
    """Of points [n 3] (world): how many project into the look's frame, whatever stands before them."""
    if not len(points):
        return 1.0
    camera = look.camera
    uv, z = project(transform(invert(camera.T_world_cam), points.double()), camera.K)
    inside = (z > 0) & (uv >= -0.5).all(-1) & (uv[:, 0] < camera.size[1] - 0.5) & (uv[:, 1] < camera.size[0] - 0.5)
    return float(inside.double().mean())
