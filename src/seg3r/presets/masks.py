"""Masks that lie beside a recording."""

from __future__ import annotations

from pathlib import Path

from seg3r.datasets.rooms import truth_masks
from seg3r.errors import InputError
from seg3r.id_maps import folder_reader
from seg3r.protocols import Segmenter
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording


def masks_from(recording: Recording, masks: str | Path | None) -> Segmenter | None:
    """The segmenter that reads a folder in the recording (or anywhere), or its truth; None: the method's own.

    Args:
        masks: a folder of id maps, or `truth`.

    Raises:
        InputError: no such folder, or no truth.
    """
    if masks is None:
        return None
    if masks == "truth":
        return SavedMasks(truth_masks(recording))
    inside = None if recording.root is None else recording.root / masks
    folder = inside if inside is not None and inside.is_dir() else Path(masks).expanduser()
    if not folder.is_dir():
        raise InputError(f"{masks}: no such folder of masks, neither in {recording.name} nor here")
    return SavedMasks(folder_reader(folder, recording.stem))
