"""Data sets, one file each: class lists, splits, and the truth in the layout that each ships. (Frames: `sources`.)"""

from __future__ import annotations

from seg3r.datasets.catalogue import DATASETS, Dataset, dataset_called
from seg3r.datasets.truth import Truth

__all__ = ["DATASETS", "Dataset", "Truth", "dataset_called"]
