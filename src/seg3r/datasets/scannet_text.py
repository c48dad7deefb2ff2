"""The ScanNet benchmark's text files: folders of `scene.txt`.

Ground truth: label * 1000 + instance, one line per vertex. Prediction: one line `mask_file label confidence` per
instance, the mask file relative to the folder, with one line 0 or 1 per vertex.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64

from seg3r.errors import InputError
from seg3r.files import write_bytes
from seg3r.kernels.instance_ap import parse_integers
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.reading import quoted, reading

MASK_FOLDER = "predicted_masks"


def read_ground_truth(path: Path) -> Int64[np.ndarray, "n"]:
    """label * 1000 + instance of every vertex."""
    return _read_integers(path)


def write_ground_truth(path: Path, gt_ids: Int[np.ndarray, "n"]) -> None:
    """Inverse of `read_ground_truth`. Atomic."""
    write_bytes(path, "".join(f"{i}\n" for i in gt_ids.tolist()).encode())


def read_prediction(path: Path, vertex_count: int) -> ScenePrediction:
    """The instances of one scene, in the order of the file's lines.

    Args:
        path: `scene.txt`; its mask files lie in the same folder or below it.
        vertex_count: lines each mask file must have.

    Raises:
        InputError: a malformed line, or a mask file that is absent, outside the folder or of another length.
    """
    folder = path.parent.resolve()
    lists, labels, scores = [], [], []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        fields = line.split()
        if len(fields) != 3:
            raise InputError(f"{where}: expected 'mask_file label confidence', got {quoted(line)}")
        try:
            label, score = int(fields[1]), float(fields[2])
        except ValueError:
            raise InputError(f"{where}: expected an integer label and a number, got {quoted(line)}") from None
        if not np.isfinite(score) or abs(label) >= 2**62:
            raise InputError(f"{where}: label and confidence must be finite, got {quoted(line)}")
        with reading(where, "a line of a prediction"):
            mask_path = (folder / fields[0]).resolve()
            there = mask_path.is_file()
        if Path(fields[0]).is_absolute() or not mask_path.is_relative_to(folder):
            raise InputError(f"{where}: mask file {quoted(fields[0])} lies outside {folder}; give a path inside it")
        if not there:
            raise InputError(f"{where}: mask file {quoted(fields[0])} does not exist in {folder}")
        lists.append(np.flatnonzero(_read_mask(mask_path, vertex_count)))
        labels.append(label)
        scores.append(score)
    return ScenePrediction.from_lists(lists, vertex_count, np.array(labels, np.int64), np.array(scores, np.float64))


def write_prediction(folder: Path, scene: str, prediction: ScenePrediction) -> Path:
    """Inverse of `read_prediction`: masks below `folder/predicted_masks`, then `folder/scene.txt`. Each file is atomic.

    Returns:
        The path of `scene.txt`.
    """
    if Path(scene).name != scene or len(scene.split()) != 1:
        raise InputError(f"scene name {scene!r}: must be a file name without spaces")
    (folder / MASK_FOLDER).mkdir(parents=True, exist_ok=True)
    lines = []
    for i, (vertices, label, score) in enumerate(
        zip(prediction.lists(), prediction.labels.tolist(), prediction.scores.tolist(), strict=True)
    ):
        name = f"{MASK_FOLDER}/{scene}_{i:03d}.txt"
        text = np.tile(np.frombuffer(b"0\n", np.uint8), prediction.vertex_count)
        text[2 * vertices] = ord("1")
        write_bytes(folder / name, text.tobytes())
        lines.append(f"{name} {label} {score!r}\n")
    path = folder / f"{scene}.txt"
    write_bytes(path, "".join(lines).encode())
    return path


def _read_mask(path: Path, vertex_count: int) -> Bool[np.ndarray, "n"]:
    values = _read_integers(path)
    if len(values) != vertex_count:
        raise InputError(f"{path}: expected {vertex_count} lines, one per vertex, got {len(values)}")
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        line = int(wrong.argmax())
        raise InputError(f"{path}, line {line + 1}: expected 0 or 1, got {values[line]}")
    return values.astype(bool)


def _read_integers(path: Path) -> Int64[np.ndarray, "n"]:
    values, bad_line = parse_integers(np.frombuffer(_read_bytes(path), np.uint8))
    if bad_line:
        raise InputError(f"{path}, line {bad_line}: expected one integer")
    return values


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file") from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
