"""What is known to be true of a room."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from seg3r.datasets.rooms import SURFACE_M, surface_superpoints
from seg3r.rooms import CLASSES, split_seeds
from seg3r.rooms.cloud import sample_surface, seen_by
from seg3r.sources.rooms import RoomsSource


def test_superpoints_are_of_what_a_scan_would_hold() -> None:
    """No hidden surface: the wall behind a window's pane would join the pane to the wall around it."""
    (seed,) = split_seeds("val", 1)
    recording = RoomsSource(seed, frames=12, size=(90, 120))
    vertices, superpoints = surface_superpoints(recording)
    samples = sample_surface(recording.room, SURFACE_M)
    seen = seen_by(recording.room, samples, recording.cameras)
    assert 0.1 < seen.mean() < 0.7 and np.array_equal(vertices.numpy(), samples.points[seen])
    assert cKDTree(vertices.numpy()).query(samples.points[~seen])[0].max() > 10 * SURFACE_M
    classes = recording.room.face_class[samples.face[seen]]
    window = classes == CLASSES.index("window")
    size = np.bincount(superpoints.numpy())
    own = np.bincount(superpoints.numpy()[window], minlength=len(size))
    assert window.sum() > 500
    assert (own[superpoints.numpy()[window]] / size[superpoints.numpy()[window]] > 0.9).mean() > 0.95
