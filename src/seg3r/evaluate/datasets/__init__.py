"""Ground truth in the layout each data set ships, and a method measured on a folder of it.

`DATASETS` names them; a data set is how to find its scenes, the frames of one and the truth of one.
"""

from __future__ import annotations

from seg3r.evaluate.datasets.catalogue import DATASETS, Dataset, dataset_called
from seg3r.evaluate.datasets.grounding import GroundingResult, evaluate_grounding
from seg3r.evaluate.datasets.measure import DatasetResult, Placed, evaluate_dataset

__all__ = [
    "DATASETS", "Dataset", "DatasetResult", "GroundingResult", "Placed", "dataset_called", "evaluate_dataset",
    "evaluate_grounding",
]
