"""Files of data sets to arrays; what cannot be read is an InputError that names the file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int, Int64

from seg3r.datasets.scannet_text import read_ground_truth
from seg3r.datasets.truth import Truth
from seg3r.errors import InputError
from seg3r.geometry import narrowed
from seg3r.reading import reading

LARGEST_INSTANCE = 999
"""Of a scene: ids are label * 1000 + instance."""
LARGEST_LABEL = 10**6

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}
_BYTE_ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str
    count_kind: str | None
    """Of a list: the type of its length."""


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


def read_ply(path: Path, elements: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Columns of some elements of a PLY file: a row per vertex, face ...; a list property is [rows length].

    Its own reader because the scans have up to ten million vertices and face properties that mesh loaders drop.

    Raises:
        InputError: absent, malformed, cut short, without one of the elements, or lists of different lengths.
    """
    _must_exist(path)
    found: dict[str, dict[str, np.ndarray]] = {}
    with reading(path, "PLY", "fetch it again"), path.open("rb") as file:
        order, listed = _ply_header(file)
        for element in listed:
            if element.count < 0 or element.count > path.stat().st_size:
                raise ValueError(f"{element.count} rows of {element.name!r} are not in a file of this length")
            columns = _ply_text(file, element) if order is None else _ply_binary(file, element, order)
            if element.name in elements:
                found[element.name] = columns
            if len(found) == len(elements):
                break
    if missing := [name for name in elements if name not in found]:
        raise InputError(f"{path}: a PLY file without element {missing[0]!r}; fetch it again")
    return found


def vertices_of(path: Path, columns: dict[str, np.ndarray]) -> Float[np.ndarray, "v 3"]:
    """x, y, z of a vertex element: float32, doubles far from the world's origin if the file has them."""
    if absent := [axis for axis in "xyz" if axis not in columns]:
        raise InputError(f"{path}: its vertices have no {absent[0]}")
    with reading(path, "vertices"):
        return finite_points(np.stack([columns[axis].reshape(-1) for axis in "xyz"], axis=1))


def finite_points(numbers: np.ndarray) -> Float[np.ndarray, "v 3"]:
    """Coordinates as they are kept, doubles only far from the world's origin; ValueError for another shape, or one that
    is not finite."""
    if numbers.ndim != 2 or numbers.shape[1] != 3:
        raise ValueError(f"expected n x 3 coordinates, got {'x'.join(map(str, numbers.shape))}")
    with np.errstate(over="ignore"):
        points = narrowed(numbers.astype(np.float64)) if numbers.dtype != np.float32 else numbers
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        raise ValueError(f"point {int(bad.argmax())} is not finite")
    return points


def read_vertices(path: Path) -> Float[np.ndarray, "v 3"]:
    """The vertices of a mesh or cloud in a PLY file, in the file's order."""
    return vertices_of(path, read_ply(path, ("vertex",))["vertex"])


def read_preprocessed(mesh: Path, ids: Path) -> Truth:
    """The layout of Mask3D and OpenMask3D: a PLY file, and a text file with label * 1000 + instance per vertex."""
    vertices, labels = read_vertices(mesh), read_ground_truth(ids)
    if len(labels) != len(vertices):
        raise InputError(f"{ids}: {len(labels)} ids for the {len(vertices)} vertices of {mesh}; take both of one scan")
    return Truth(vertices, labels)


def read_json_key(path: Path, key: str) -> Any:
    """What a JSON file holds under a key."""
    _must_exist(path)
    with reading(path, f"JSON with {key!r}", "fetch it again"):
        return json.loads(path.read_bytes())[key]


def read_indices(path: Path, key: str) -> Int64[np.ndarray, "n"]:
    """A list of integers under a key of a JSON file."""
    with reading(path, f"JSON with integers under {key!r}", "fetch it again"):
        return np.asarray(read_json_key(path, key), np.int64).reshape(-1)


def read_table(path: Path, columns: Sequence[str], delimiter: str) -> list[tuple[str, ...]]:
    """Columns of a CSV or TSV file, by the names in its first line."""
    _must_exist(path)
    with reading(path, "a table"), path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise InputError(f"{path}: no column {absent[0]!r}; fetch the file that ships with the data set")
        return [tuple(row[name] or "" for name in columns) for row in reader]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    _must_exist(path)
    with reading(path, "text"):
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def paint_segments(
    segments: Int[np.ndarray, "v"], groups: Iterable[tuple[Sequence[int] | Int64[np.ndarray, "..."], int]]
) -> Int64[np.ndarray, "v"]:
    """The value of the last group that holds a vertex's segment; 0 where none does.

    Args:
        segments: of each vertex.
        groups: (segments, value).
    """
    names, of_vertex = np.unique(segments, return_inverse=True)
    values = np.zeros(len(names), np.int64)
    if not len(names):
        return values
    for members, value in groups:
        wanted = np.asarray(members, np.int64)
        place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
        values[place[names[place] == wanted]] = value
    return values[of_vertex.reshape(-1)]


def instance_id(label: int, instance: int, where: Path) -> int:
    """label * 1000 + instance, if there is room for the instance."""
    if not 1 <= instance <= LARGEST_INSTANCE:
        raise InputError(f"{where}: instance {instance}; ids of ground truth have room for 1 to {LARGEST_INSTANCE}")
    return label * 1000 + instance


def label_number(value: Any) -> int:
    """A label as an integer from 0 that leaves room for the instance; ValueError for anything else."""
    number = int(value)
    if not 0 <= number <= LARGEST_LABEL:
        raise ValueError(f"label {number} is not in 0..{LARGEST_LABEL}")
    return number


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; the ground truth needs it")


def _ply_header(file: IO[bytes]) -> tuple[str | None, list[_Element]]:
    if file.readline().strip() != b"ply":
        raise ValueError("its first line is not 'ply'")
    order: str | None = ""
    elements: list[_Element] = []
    while (line := file.readline()).strip() != b"end_header":
        words = line.decode("ascii").split()
        if not line:
            raise ValueError("the header does not end")
        if words[:1] == ["format"]:
            order = _BYTE_ORDERS[words[1]]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"]:
            last = elements.pop()
            is_list = words[1] == "list"
            kind, count_kind = _PLY_TYPES[words[-2]], _PLY_TYPES[words[2]] if is_list else None
            elements.append(_Element(last.name, last.count, (*last.properties, _Property(words[-1], kind, count_kind))))
    if order == "":
        raise ValueError("the header names no format")
    return order, elements


def _ply_binary(file: IO[bytes], element: _Element, order: str) -> dict[str, np.ndarray]:
    start = file.tell()
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    lengths = {}
    for prop in element.properties if element.count else ():
        size: tuple[int, ...] = ()
        if prop.count_kind is not None:
            counter = np.dtype(order + prop.count_kind)
            lengths[prop.name] = int(np.frombuffer(file.read(counter.itemsize), counter)[0])
            fields.append((f"length of {prop.name}", order + prop.count_kind, ()))
            size = (lengths[prop.name],)
        fields.append((prop.name, order + prop.kind, size))
        file.seek(np.dtype(prop.kind).itemsize * int(np.prod(size, dtype=np.int64)), 1)
    file.seek(start)
    if np.dtype(fields).itemsize * element.count > os.fstat(file.fileno()).st_size:
        raise ValueError(f"{element.count} rows of {element.name!r} are not in a file of this length")
    rows = np.fromfile(file, np.dtype(fields), element.count)
    if len(rows) != element.count:
        raise ValueError(f"it ends after {len(rows)} of {element.count} rows of {element.name}")
    for name, length in lengths.items():
        if (rows[f"length of {name}"] != length).any():
            raise ValueError(f"lists {name!r} of different lengths are not supported")
    return {prop.name: rows[prop.name] for prop in element.properties} if element.count else {
        prop.name: np.empty(0, prop.kind) for prop in element.properties
    }


def _ply_text(file: IO[bytes], element: _Element) -> dict[str, np.ndarray]:
    lines = [file.readline().split() for _ in range(element.count)]
    table = np.array(lines, np.float64).reshape(element.count, -1)
    columns, at = {}, 0
    for prop in element.properties:
        if prop.count_kind is None:
            columns[prop.name] = table[:, at].astype(prop.kind)
            at += 1
            continue
        length = int(table[0, at]) if element.count else 0
        if (table[:, at] != length).any():
            raise ValueError(f"lists {prop.name!r} of different lengths are not supported")
        columns[prop.name] = table[:, at + 1 : at + 1 + length].astype(prop.kind)
        at += 1 + length
    return columns
