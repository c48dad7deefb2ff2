"""A folder of images: colour only, in natural order of the names, turned upright as their EXIF orientation says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from seg3r.reading import open_image
from seg3r.sources.listed import ListedRecording
from seg3r.sources.read import IMAGE_SUFFIXES
from seg3r.sources.recording import ASSUMED_FPS
from seg3r.sources.shots import Shot, files, numbered


def recognise(root: Path) -> bool:
    """Any image directly inside."""
    return bool(files(root, IMAGE_SUFFIXES))


def open_images(root: Path, every: int = 1) -> ListedRecording:
    """Images of another size than most are left out and counted."""
    paths = files(root, IMAGE_SUFFIXES)
    shots = [
        Shot(index, stem, index / ASSUMED_FPS, partial(open_image, path))
        for index, (stem, path) in zip(numbered(list(paths)), paths.items(), strict=True)
    ]
    return ListedRecording("image folder", root, root, shots, every=every, upright=True)
