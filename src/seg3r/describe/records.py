"""What is told of each instance of a map: the content of `instances.json` and of the report's cards."""

from __future__ import annotations

from typing import Any

import numpy as np

from seg3r.scene import SceneMap


def instance_records(scene: SceneMap) -> list[dict[str, Any]]:
    """One record per instance in the order of `scene.ids`, ready for JSON.

    id, name (`SceneMap.names`, or null), label (of a labeler: name and score; or null), name_votes (what its segments
    were called), score (`SceneMap.scores`), box (corners of its points in the world of the recording, metres, or null
    without points), points, observations, first_frame, last_frame (0, -1, -1 for one that no view gave), and
    best_views, best first: frame, the pixels covered (rows and columns, first and one past the last), score, and the
    crop's path within the map's folder.
    """
    points = scene.world_points.numpy()
    owner, point = scene.owners.numpy().T
    starts = np.searchsorted(owner, np.arange(len(scene) + 1))
    first, last = (scene.pick(name, scene.ids).tolist() for name in ("first_frame", "last_frame"))
    names, records = scene.names, []
    for i, (instance_id, score) in enumerate(zip(scene.ids.tolist(), scene.scores.tolist(), strict=True)):
        own = points[point[starts[i] : starts[i + 1]]]
        votes, label = scene.name_votes.get(instance_id, {}), scene.name_labels.get(instance_id)
        records.append({
            "id": instance_id,
            "name": names[i],
            "label": None if label is None else {"name": label[0], "score": round(label[1], 4)},
            "name_votes": {name: round(float(vote), 4) for name, vote in sorted(votes.items())},
            "score": round(score, 4),
            "box": {"min": _rounded(own.min(0)), "max": _rounded(own.max(0))} if len(own) else None,
            "points": len(own),
            "observations": int(scene.observations[i]),
            "first_frame": first[i],
            "last_frame": last[i],
            "best_views": [
                {
                    "frame": sighting.frame_index,
                    "rows": [sighting.box[0], sighting.box[2]],
                    "columns": [sighting.box[1], sighting.box[3]],
                    "score": round(float(sighting.score), 4),
                    "crop": crop_path(instance_id, n),
                }
                for n, sighting in enumerate(scene.sightings.get(instance_id, ()))
            ],
        })
    return records


def crop_path(instance_id: int, n: int) -> str:
    """Of the n-th best look, within the map's folder. Numbers alone: names come from files."""
    return f"crops/{instance_id}_{n}.jpg"


def _rounded(place: np.ndarray) -> list[float]:
    return [round(float(x), 4) for x in place]
