"""What is told of each instance of a map: the content of `instances.json` and of the report's cards."""

from __future__ import annotations

from typing import Any

import numpy as np

from seg3r.scene import SceneMap
from seg3r.score import scores


def instance_records(scene: SceneMap) -> list[dict[str, Any]]:
    """One record per instance in the order of `scene.ids`, ready for JSON.

    id, name (most votes, or null), name_votes, score (`seg3r.score`), box (corners of its points in world, metres, or
    null without points), points, observations, first_frame, last_frame, and best_views, best first: frame, the pixels
    covered (rows and columns, first and one past the last), score, and the crop's path within the map's folder.
    """
    points = scene.points.numpy()
    owner, point = scene.owners.numpy().T
    starts = np.searchsorted(owner, np.arange(len(scene) + 1))
    first, last = (scene.pick(name, scene.ids).tolist() for name in ("first_frame", "last_frame"))
    records = []
    for i, (instance_id, score) in enumerate(zip(scene.ids.tolist(), scores(scene).tolist(), strict=True)):
        own = points[point[starts[i] : starts[i + 1]]]
        votes = scene.name_votes.get(instance_id, {})
        records.append({
            "id": instance_id,
            "name": best_name(votes),
            "name_votes": {name: round(float(vote), 4) for name, vote in sorted(votes.items())},
            "score": round(score, 4),
            "box": {"min": _rounded(own.min(0)), "max": _rounded(own.max(0))} if len(own) else None,
            "points": len(own),
            "observations": int(scene.observations[i]),
            "first_frame": first[i],
            "last_frame": last[i],
            "best_views": [
                {
                    "frame": look.frame_index,
                    "rows": [look.box[0], look.box[2]],
                    "columns": [look.box[1], look.box[3]],
                    "score": round(float(look.score), 4),
                    "crop": crop_path(instance_id, n),
                }
                for n, look in enumerate(scene.sightings.get(instance_id, ()))
            ],
        })
    return records


def crop_path(instance_id: int, n: int) -> str:
    """Of the n-th best look, within the map's folder. Numbers alone: names come from files."""
    return f"crops/{instance_id}_{n}.jpg"


def best_name(votes: dict[str, float]) -> str | None:
    """The one with most votes; between equals the first by the alphabet."""
    return min(votes, key=lambda name: (-votes[name], name)) if votes else None


def _rounded(place: np.ndarray) -> list[float]:
    return [round(float(x), 4) for x in place]
