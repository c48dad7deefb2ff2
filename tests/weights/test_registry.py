"""What one can fetch, and what a user must know of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seg3r.errors import InputError
from seg3r.weights.registry import REGISTRY, entry


def test_every_entry_says_what_a_user_must_know() -> None:
    for name, each in REGISTRY.items():
        assert name == name.lower() and "/" not in name
        assert each.repo.count("/") == 1 and each.licence and each.megabytes > 0
        assert each.use in {"detect", "segment", "embed", "reconstruct", "image-text", "chat"}
    assert len({e.use for e in REGISTRY.values()}) == 6
    repos = [e.repo for e in REGISTRY.values()]
    assert len(set(repos)) == len(repos)


def test_what_is_not_free_says_so() -> None:
    assert "Research" in entry("qwen2.5-vl-3b").licence
    assert "SAM License" in entry("sam3").licence and entry("sam3").gated
    assert "DINOv3" in entry("dinov3-base").licence and entry("dinov3-base").gated
    assert entry("sam2.1-large").licence == "Apache-2.0"


def test_a_misspelt_name_finds_its_neighbours() -> None:
    with pytest.raises(InputError, match="did you mean dinov2-") as caught:
        entry("dino-v2-small")
    assert "\n" not in str(caught.value)


def test_importing_is_light() -> None:
    heavy = ("torch", "transformers", "huggingface_hub")
    code = f"import sys, seg3r.weights; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
