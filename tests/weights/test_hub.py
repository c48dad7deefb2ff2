"""Weights by name: fetched, verified, read. The hub is a folder of this test; nothing here needs a network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seg3r import weights
from seg3r.errors import InputError
from seg3r.weights import disk, pretrained
from seg3r.weights import hub as remote
from seg3r.weights.disk import HOME, MANIFEST
from tests.weights.made_hub import COMMIT, NAME, Hub


def test_fetch_into_a_folder(hub: Hub, home: Path) -> None:
    folder = weights.fetch(NAME)
    assert folder == home / NAME == weights.where(NAME) == weights.present(NAME)
    names = {p.name for p in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json", "vocab.txt", MANIFEST}
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["commit"] == COMMIT and manifest["licence"] == "Apache-2.0"
    assert manifest["files"] == {
        n: hashlib.sha256(hub.files[n]).hexdigest() for n in names - {MANIFEST}
    }
    assert [p.name for p in home.iterdir()] == [NAME]
    report = weights.check(NAME)
    assert report.problems == () and report.proven == 4 and report.commit == COMMIT
    assert report.bytes == sum(len(hub.files[n]) for n in manifest["files"])


def test_fetch_into_the_cache(hub: Hub) -> None:
    folder = weights.fetch(NAME)
    assert folder == weights.where(NAME) == hub.root / "snapshots" / COMMIT
    assert set(hub.downloads) == {"config.json", "model.safetensors", "preprocessor_config.json", "vocab.txt"}
    report = weights.check(NAME)
    assert report.problems == () and report.proven == 4 and report.commit == COMMIT


def test_fetch_again_downloads_only_what_is_new(hub: Hub, home: Path) -> None:
    weights.fetch(NAME)
    hub.downloads.clear()
    weights.fetch(NAME)
    assert hub.downloads == []
    hub.commit, hub.files["vocab.txt"] = "b" * 40, b"b\n"
    folder = weights.fetch(NAME)
    assert (folder / "vocab.txt").read_bytes() == b"b\n" and weights.check(NAME).commit == "b" * 40
    assert [p.name for p in home.iterdir()] == [NAME]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("in_home", [True, False])
def test_a_damaged_file_is_never_found(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, in_home: bool
) -> None:
    if in_home:
        monkeypatch.setenv(HOME, str(tmp_path / "home"))
    hub.lies[file] = hub.files[file][:-1] + b"!"
    with pytest.raises(InputError, match=f"{file} came damaged"):
        weights.fetch(NAME)
    assert weights.present(NAME) is None
    assert not list(tmp_path.glob(f"home/**/{file}"))
    hub.lies.clear()
    assert weights.fetch(NAME) == weights.where(NAME)


def test_an_old_copy_survives_a_failed_fetch(hub: Hub, home: Path) -> None:
    weights.fetch(NAME)
    hub.commit, hub.lies["vocab.txt"] = "b" * 40, b"?"
    with pytest.raises(InputError):
        weights.fetch(NAME)
    assert weights.check(NAME).problems == () and weights.check(NAME).commit == COMMIT


def test_pickles_are_refused(hub: Hub, home: Path) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(InputError, match="no safetensors on the hub, only pytorch_model"):
        weights.fetch(NAME)
    assert hub.downloads == []


def test_a_file_without_a_checksum_is_refused(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = [remote.Remote(n, None, None) for n in hub.files]
    monkeypatch.setattr(remote, "_listing", lambda repo, revision: (COMMIT, bare))
    with pytest.raises(InputError, match="no checksum"):
        weights.fetch(NAME)
    assert weights.present(NAME) is None


def test_shards(hub: Hub, home: Path) -> None:
    whole = home.parent / "whole.safetensors"
    whole.write_bytes(hub.files.pop("model.safetensors"))
    tensors = load_file(whole)
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for part, keys in parts.items():
        save_file({k: tensors[k] for k in keys}, home.parent / part, metadata={"format": "pt"})
        hub.files[part] = (home.parent / part).read_bytes()
    index = {"metadata": {}, "weight_map": {k: part for part, keys in parts.items() for k in keys}}
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    folder = weights.fetch(NAME)
    built = pretrained.model(NAME, {"dinov2": "Dinov2Model"})
    assert torch.equal(built.state_dict()[names[-1]], tensors[names[-1]])
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert disk.lacking(folder) == ("model-00002-of-00002.safetensors",)
    with pytest.raises(InputError, match="only half on this disk"):
        weights.where(NAME)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("No space left on device\nmore"), "could not be fetched .No space left on device."),
        ("GatedRepoError", "accept it on the page of facebook/sam3.*hf auth login"),
        ("RepositoryNotFoundError", "the hub has no facebook/sam3"),
        ("HTTPError", "could not be fetched"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | str, said: str
) -> None:
    from huggingface_hub import errors

    if isinstance(error, str):
        kind = getattr(errors, error)
        raised: Exception = kind.__new__(kind)
        raised.args = ("refused\nand more",)
    else:
        raised = error

    def listing(repo: str, revision: str) -> Any:
        raise raised

    monkeypatch.setattr(remote, "_listing", listing)
    with pytest.raises(InputError, match=said) as caught:
        weights.fetch("sam3")
    assert "\n" not in str(caught.value)


def test_what_is_handed_out_as_a_pickle_says_what_to_do_and_finds_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    with pytest.raises(InputError, match=r"seg3r weights convert cut3r_512_dpt_4_64\.pth --name cut3r-512"):
        weights.fetch("cut3r-512")
    assert weights.present("cut3r-512") is None
    folder = weights.place("cut3r-512")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    weights.describe(folder)
    assert weights.where("cut3r-512") == tmp_path / "cut3r-512"
    monkeypatch.delenv(HOME)
    with pytest.raises(InputError, match=HOME):
        weights.place("cut3r-512")
