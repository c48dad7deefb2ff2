"""A seeded mutator of small folders: what transfers, discs, other programs and ill will do to files."""

from __future__ import annotations

import ast
import copy
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from random import Random
from typing import Any

Files = dict[str, bytes]
"""Path within the folder -> content."""

NUMBERS = (
    b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"1e308", b"-1e308", b"1e-308", b"1e400", b"-1", b"0", b"-0.0", b"1",
    b"255", b"65536", b"2147483648", b"4294967296", b"9223372036854775808", b"18446744073709551616", b"9" * 40,
    b"9" * 5000, b"", b"x", b"0x10", b"1_0", b"1,5", "\u0663".encode(), b"\x00", b"..", b"1e5", b"100000000000",
)
"""In place of a number in a text, or in the text part of another file."""
DEEP = "[deep]"
"""Stands for lists within lists, further down than a parser may follow."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**12, -(10**12), 10**30, 2**31, 2**63, 1.5, 1e308, -1e308, 1e-308, float("nan"),
    float("inf"), float("-inf"), "", "x", "\ud800", "\x1b[2J\n", "a" * 5000, "9" * 5000, [], {}, [[]], [None], [1, 2],
    {"id": 1}, {"": ""}, DEEP,
)
"""In place of a value in JSON."""
WORDS = tuple(
    struct.pack(kind, value)
    for kind, values in (
        ("<f", (float("nan"), float("inf"), -float("inf"), 3e38, -1.0, 1e-38, 0.0)),
        ("<d", (float("nan"), float("inf"), 1e308, -1.0, 1e-308, 0.0)),
        ("<i", (-1, 0, 1, 2**31 - 1, -(2**31), 65536)), ("<q", (-1, 0, 2**63 - 1, -(2**63), 2**40)),
        ("<H", (0, 65535, 32768)), (">I", (0, 2**32 - 1, 2**31, 20_000, 100_000)),
    )
    for value in values
)
"""In place of so many bytes."""
FOREIGN = (
    b"", b"\n", b"hello", b"\x00" * 100, b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"[" * 200_000, b"{}", b"[]", b"null",
    b'"x"', b"GIF89a" + b"\xff" * 30,
    b"PK\x03\x04" + b"\x00" * 60, b"PK\x05\x06" + b"\x00" * 18, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0",
    b"BM" + b"\xff" * 60, b"ply\n", b"\x93NUMPY\x01\x00", b"\x80\x02}q\x00.", b"nan " * 20, b"1 " * 16, b"\xed\xa0\x80",
    b"P6 60000 60000 255\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
)
"""Other files under this name."""


def mutate(files: Files, rng: Random) -> Files:
    """The same folder with one to three changes: mostly to a file's content, now and then to which files there are."""
    changed = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        name = _chosen(changed, rng)
        if rng.random() < 0.12:
            _rearrange(changed, name, rng)
        else:
            changed[name] = _damaged(name, changed[name], rng)
    return changed


def _chosen(files: Files, rng: Random) -> str:
    """A kind of file first, then one of it: one list of poses is as likely as many images."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(files):
        path = PurePosixPath(name)
        kinds.setdefault(f"{path.parent}{path.suffix}" if path.suffix != ".txt" else name, []).append(name)
    return rng.choice(kinds[rng.choice(sorted(kinds))])


def _rearrange(files: Files, name: str, rng: Random) -> None:
    path = PurePosixPath(name)
    how = rng.randrange(6)
    if how == 0:
        del files[name]
    elif how == 1:
        files[name] = rng.choice(FOREIGN)
    elif how == 2:
        files[name] = files[rng.choice(sorted(files))]
    elif how == 3:
        other = rng.choice(sorted(files))
        files[name], files[other] = files[other], files[name]
    elif how == 4:
        files[str(path.with_name(path.name + ".bak"))] = files.pop(name)
    else:
        renamed = re.sub(r"\d", lambda m: str(rng.randrange(10)), path.name, count=rng.randrange(1, 4))
        files[str(path.with_name(renamed))] = files.pop(name)


def _damaged(name: str, content: bytes, rng: Random) -> bytes:
    ways: list[Callable[[bytes, Random], bytes]] = [_any_bytes]
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        ways += [_png]
    elif content[:6] == b"\x93NUMPY":
        ways += [_npy, _words]
    elif name.endswith(".safetensors"):
        ways += [_safetensors, _safetensors, _words]
    elif name.endswith(".json"):
        ways = [_json, _json, _json, _any_bytes]
    elif name.endswith(".sens"):
        ways += [_words]
    else:
        ways += [_number]
    return rng.choice(ways)(content, rng)


def _place(content: bytes, rng: Random) -> int:
    """Anywhere; half the time near the beginning, where headers are."""
    return rng.randrange(max(1, min(len(content), 400) if rng.random() < 0.5 else len(content)))


def _any_bytes(content: bytes, rng: Random) -> bytes:
    at, size = _place(content, rng), rng.choice((1, 2, 4, 8, 64, 1000))
    how = rng.randrange(9)
    if how == 0 and content:
        bits = bytearray(content)
        for _ in range(rng.choice((1, 1, 4, 64))):
            bits[_place(content, rng)] ^= 1 << rng.randrange(8)
        return bytes(bits)
    if how == 1:
        return content[:at]
    if how == 2:
        return content[: len(content) - size]
    if how == 3:
        return content[:at] + rng.randbytes(size) + content[at:]
    if how == 4:
        return content[: at + size] + content[at:]
    if how == 5:
        return content[:at] + content[at + size :]
    if how == 6:
        return content[:at] + b"\0" * min(size, len(content) - at) + content[at + size :]
    return _words(content, rng) if how == 7 else _number(content, rng)


def _words(content: bytes, rng: Random) -> bytes:
    word, at = rng.choice(WORDS), _place(content, rng)
    at -= at % len(word) if rng.random() < 0.7 else 0
    return content[:at] + word + content[at + len(word) :]


def _number(content: bytes, rng: Random) -> bytes:
    """One of the numbers written out in it becomes another."""
    start = _place(content, rng)
    found = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?").search(content, start)
    if found is None:
        return content[:start] + rng.choice(NUMBERS) + content[start:]
    return content[: found.start()] + rng.choice(NUMBERS) + content[found.end() :]


def _json(content: bytes, rng: Random) -> bytes:
    """Values of another type, fields gone, doubled or under another name; still JSON."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return _any_bytes(content, rng)
    for _ in range(rng.choice((1, 1, 2))):
        tree = _changed_tree(tree, rng)
    return _dumped(tree)


def _dumped(tree: Any) -> bytes:
    text = json.dumps(tree)
    return text.replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000).encode()


def _changed_tree(tree: Any, rng: Random) -> Any:
    """Walks down to some value and changes it there."""
    children = sorted(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    if not children or rng.random() < 0.15:
        return copy.deepcopy(rng.choice(VALUES))
    key = rng.choice(children)
    how = rng.random()
    if how < 0.08:
        del tree[key]
    elif how < 0.12 and isinstance(tree, dict):
        tree[rng.choice(("", "x", "-1", "\ud800", "nan", "1e400", str(key) + "0"))] = tree.pop(key)
    elif how < 0.12:
        tree.append(tree[key])
    else:
        tree[key] = _changed_tree(tree[key], rng)
    return tree


def _png(content: bytes, rng: Random) -> bytes:
    """The header says something else, and its checksum agrees."""
    header = bytearray(content[16:29])
    if len(header) < 13:
        return _any_bytes(content, rng)
    if rng.random() < 0.7:
        at = rng.choice((0, 4))
        header[at : at + 4] = struct.pack(">I", rng.choice((0, 1, 7, 20_000, 60_000, 2**31 - 1, 2**32 - 1)))
        if rng.random() < 0.5:
            header[4 - at : 8 - at] = header[at : at + 4]
    else:
        header[rng.choice((8, 9, 10, 11, 12))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return content[:16] + bytes(header) + struct.pack(">I", zlib.crc32(b"IHDR" + bytes(header))) + content[33:]


def _npy(content: bytes, rng: Random) -> bytes:
    """Another shape or type in the header, which is still one."""
    length = struct.unpack("<H", content[8:10])[0] if len(content) > 10 else 0
    try:
        header = ast.literal_eval(content[10 : 10 + length].decode("latin1").strip())
        shape = list(header["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError):
        return _any_bytes(content, rng)
    how = rng.randrange(4)
    if how == 0:
        kinds = ("|O", "<f8", "<f4", "<i8", "|u1", "<U1000000", "<M8[s]", "<c16", "|V0", "<U0", "?", "x")
        header["descr"] = rng.choice(kinds)
    elif how == 1:
        header["shape"] = tuple(rng.choice((0, 1, -1, 10**6, 10**12, 2**62)) for _ in range(rng.randrange(5)))
    elif how == 2 and shape:
        shape[rng.randrange(len(shape))] = rng.choice((0, 1, -1, 3, 10**6, 10**12, 2**62))
        header["shape"] = tuple(shape)
    else:
        header[rng.choice(sorted(header))] = rng.choice((None, "x", 10**30, (), [1], True))
    text = repr(header).encode("latin1")
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return content[:8] + struct.pack("<H", len(text) % 65536) + text + content[10 + length :]


def _safetensors(content: bytes, rng: Random) -> bytes:
    """The header's JSON, or the JSON in its metadata, with other values; or other numbers in one of its tensors."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        held = {name: entry for name, entry in header.items() if isinstance(entry, dict) and "data_offsets" in entry}
        about = dict(header.get("__metadata__", {}))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return _any_bytes(content, rng)
    data, how = bytearray(content[8 + length :]), rng.random()
    if how < 0.45 and about:
        key = rng.choice(sorted(about))
        about[key] = _json(str(about[key]).encode("utf-8", "replace"), rng).decode("utf-8", "replace")
        header["__metadata__"] = about
    elif how < 0.65:
        header = _changed_tree(header, rng)
    elif how < 0.75 and held:
        name = rng.choice(sorted(held))  # the same bytes as another type or shape
        entry = dict(held[name])
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        kind, width = rng.choice((("F32", 4), ("I32", 4), ("F64", 8), ("I64", 8), ("U8", 1), ("F16", 2), ("BOOL", 1)))
        entry["dtype"], entry["shape"] = kind, rng.choice(([size // width], [1, size // width], [size // width, 1]))
        header[name] = entry
    elif held:
        begin, end = held[rng.choice(sorted(held))]["data_offsets"]
        word = rng.choice(WORDS)
        if end - begin >= len(word):
            at = begin + rng.randrange((end - begin) // len(word)) * len(word)
            data[at : at + len(word)] = word
    text = _dumped(header)
    return len(text).to_bytes(8, "little") + text + bytes(data)
