"""Weights by name: found, fetched, verified, read. The hub is a folder of this test; nothing here needs a network."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seg3r import weights
from seg3r.errors import InputError
from seg3r.weights import pretrained
from tests.models import tiny

COMMIT = "a" * 40
NAME = "dinov2-small"


@dataclass
class Hub:
    """What the hub's client answers, from files in memory."""

    root: Path
    files: dict[str, bytes]
    lies: dict[str, bytes] = field(default_factory=dict)
    """What arrives in place of a file."""
    commit: str = COMMIT
    downloads: list[str] = field(default_factory=list)

    def listing(self, repo: str, revision: str) -> tuple[str, list[weights.Remote]]:
        return self.commit, [self._remote(name, content) for name, content in self.files.items()]

    @staticmethod
    def _remote(name: str, content: bytes) -> weights.Remote:
        if name.endswith((".safetensors", ".bin")):
            return weights.Remote(name, hashlib.sha256(content).hexdigest(), None)
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        return weights.Remote(name, None, blob)

    def download(self, repo: str, file: str, revision: str, folder: Path | None) -> Path:
        self.downloads.append(file)
        content = self.lies.get(file, self.files[file])
        if folder is not None:
            (folder / ".cache").mkdir(exist_ok=True)  # as the client does, to go on where it stopped
            (folder / file).write_bytes(content)
            return folder / file
        blobs, snapshot = self.root / "blobs", self.root / "snapshots" / self.commit
        blobs.mkdir(parents=True, exist_ok=True)
        snapshot.mkdir(parents=True, exist_ok=True)
        blob = blobs / hashlib.sha256(self.files[file]).hexdigest()
        blob.write_bytes(content)
        (snapshot / file).unlink(missing_ok=True)
        (snapshot / file).symlink_to(blob)
        return snapshot / file

    def cached(self, repo: str, revision: str, file: str) -> Path | None:
        path = self.root / "snapshots" / self.commit / file
        return path if path.is_file() else None


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    model = tmp_path / "made"
    tiny.dino().save_pretrained(model)
    files = {p.name: p.read_bytes() for p in model.iterdir()}
    files |= {"README.md": b"# card", "pytorch_model.bin": b"\x80pickle", "pytorch_model.bin.index.json": b"{}",
              "preprocessor_config.json": b"{}", "onnx/model.safetensors": b"other", "vocab.txt": b"a\n"}
    made = Hub(tmp_path / "cache", files)
    monkeypatch.setattr(weights, "_listing", made.listing)
    monkeypatch.setattr(weights, "_download", made.download)
    monkeypatch.setattr(weights, "_cached", made.cached)
    monkeypatch.delenv(weights.HOME, raising=False)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


# ---- the registry ----------------------------------------------------------------------------------------------------


def test_every_entry_says_what_a_user_must_know() -> None:
    for name, entry in weights.REGISTRY.items():
        assert name == name.lower() and "/" not in name
        assert entry.repo.count("/") == 1 and entry.licence and entry.megabytes > 0
        assert entry.use in {"detect", "segment", "embed", "reconstruct", "image-text", "chat"}
    assert len({e.use for e in weights.REGISTRY.values()}) == 6
    repos = [e.repo for e in weights.REGISTRY.values()]
    assert len(set(repos)) == len(repos)


def test_what_is_not_free_says_so() -> None:
    assert "Research" in weights.entry("qwen2.5-vl-3b").licence
    assert "SAM License" in weights.entry("sam3").licence and weights.entry("sam3").gated
    assert "DINOv3" in weights.entry("dinov3-base").licence and weights.entry("dinov3-base").gated
    assert weights.entry("sam2.1-large").licence == "Apache-2.0"


def test_a_misspelt_name_finds_its_neighbours() -> None:
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


# ---- fetching --------------------------------------------------------------------------------------------------------


def test_fetch_into_a_folder(hub: Hub, home: Path) -> None:
    folder = weights.fetch(NAME)
    assert folder == home / NAME == weights.where(NAME) == weights.present(NAME)
    names = {p.name for p in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json", "vocab.txt", weights.MANIFEST}
    manifest = json.loads((folder / weights.MANIFEST).read_text())
    assert manifest["commit"] == COMMIT and manifest["licence"] == "Apache-2.0"
    assert manifest["files"] == {
        n: hashlib.sha256(hub.files[n]).hexdigest() for n in names - {weights.MANIFEST}
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
        monkeypatch.setenv(weights.HOME, str(tmp_path / "home"))
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
    bare = [weights.Remote(n, None, None) for n in hub.files]
    monkeypatch.setattr(weights, "_listing", lambda repo, revision: (COMMIT, bare))
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
    assert weights.lacking(folder) == ("model-00002-of-00002.safetensors",)
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

    monkeypatch.setattr(weights, "_listing", listing)
    with pytest.raises(InputError, match=said) as caught:
        weights.fetch("sam3")
    assert "\n" not in str(caught.value)


# ---- checking --------------------------------------------------------------------------------------------------------


def spoil(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("in_home", [True, False])
def test_check_sees_damage(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_home: bool) -> None:
    if in_home:
        monkeypatch.setenv(weights.HOME, str(tmp_path / "home"))
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


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_importing_is_light() -> None:
    heavy = ("torch", "transformers", "huggingface_hub")
    code = f"import sys, seg3r.weights; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_what_is_handed_out_as_a_pickle_says_what_to_do_and_finds_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(weights.HOME, str(tmp_path))
    with pytest.raises(InputError, match=r"seg3r weights convert cut3r_512_dpt_4_64\.pth --name cut3r-512"):
        weights.fetch("cut3r-512")
    assert weights.present("cut3r-512") is None
    folder = weights.place("cut3r-512")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    weights.describe(folder)
    assert weights.where("cut3r-512") == tmp_path / "cut3r-512"
    monkeypatch.delenv(weights.HOME)
    with pytest.raises(InputError, match=weights.HOME):
        weights.place("cut3r-512")
