"""Weights on this disk: found, and looked at again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seg3r import weights
from seg3r.errors import InputError
from seg3r.weights import disk
from seg3r.weights.disk import HOME, lacking
from seg3r.weights.registry import REGISTRY
from tests.weights.made_hub import NAME, Hub


def test_a_misspelt_name_finds_its_neighbours_before_the_disk_is_asked() -> None:
    with pytest.raises(InputError, match="did you mean dinov2-") as caught:
        weights.where("dino-v2-small")
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_here(hub: Hub, home: Path) -> None:
    assert weights.present(NAME) is None and weights.check(NAME).folder is None
    with pytest.raises(InputError) as caught:
        weights.where(NAME)
    said = str(caught.value)
    assert "\n" not in said
    assert f"seg3r weights fetch {NAME}" in said and "--preset bundled" in said and "Apache-2.0" in said


def spoil(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("in_home", [True, False])
def test_check_sees_damage(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_home: bool) -> None:
    if in_home:
        monkeypatch.setenv(HOME, str(tmp_path / "home"))
    folder = weights.fetch(NAME)
    (folder / "old.pt").write_bytes(b"\x80")
    spoil(folder / "model.safetensors", lambda b: b[:-1] + bytes([b[-1] ^ 1]))
    problems = weights.check(NAME).problems
    assert len(problems) == 2
    assert any("model.safetensors is not what was fetched" in p for p in problems)
    assert any("old.pt is a pickle" in p for p in problems)
    spoil(folder / "model.safetensors", lambda b: b[:-100])
    assert any("model.safetensors is cut short" in p for p in weights.check(NAME).problems)
    spoil(folder / "model.safetensors", lambda b: b"\x05\0\0\0\0\0\0\0abcdefgh")
    assert any("is not a safetensors file" in p for p in weights.check(NAME).problems)
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in weights.check(NAME).problems


def test_what_is_listed_says_what_is_here(hub: Hub, home: Path) -> None:
    rows = {each["name"]: each for each in weights.listed()}
    assert list(rows) == list(REGISTRY) and not any(each["here"] for each in rows.values())
    weights.fetch(NAME)
    assert [each["name"] for each in weights.listed() if each["here"]] == [NAME]
    known = rows[NAME]
    assert known["licence"] == "Apache-2.0" and known["use"] == "embed" and known["megabytes"] > 0


@pytest.mark.parametrize(
    "content", ["[" * 20_000, '{"weight_map": [1]}', '{"weight_map": {"a": {"b": 1}}}', "7", '"\\ud800"']
)
def test_an_index_that_says_nothing_is_a_missing_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(content)
    assert lacking(tmp_path)


@pytest.mark.parametrize(
    "header",
    ["[" * 5_000, "[]", "7", '{"a": {}}', '{"a": {"data_offsets": [0, "x"]}}', '{"a": {"data_offsets": [0, 1e999]}}'],
)
def test_a_header_of_another_shape_is_named(header: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    assert disk._flaw(path) == "is not a safetensors file"


@pytest.mark.parametrize("content", ["[" * 20_000, "[]", '{"commit": 1, "files": [1]}', ""])
def test_a_manifest_that_says_nothing_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / disk.MANIFEST).write_text(content)
    assert disk.manifest(tmp_path) == {"commit": None, "files": {}}
