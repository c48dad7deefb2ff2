"""Shape checks on every public function of the package, and the way to the optional real recordings."""

from __future__ import annotations

import os
import pkgutil
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

REPOSITORY = Path(__file__).resolve().parents[1]
_PACKAGE = REPOSITORY / "src" / "seg3r"

# Tensors of tests are small: threads that wait for one another cost more than they bring, the more beside other work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Numba compiles the bare functions of `kernels`; a wrapper around each would stop it.
_HOOK = install_import_hook(
    [f"seg3r.{m.name}" for m in pkgutil.iter_modules([str(_PACKAGE)]) if m.name not in ("kernels", "cli")],
    "beartype.beartype",
)


def recording_dir(name: str) -> Path:
    """Folder of a real recording; skips the test, saying so, where it is absent. SEG3R_DATA names the place."""
    root = Path(os.environ.get("SEG3R_DATA", str(REPOSITORY.parent / "shared" / "data")))
    if not (root / name).is_dir():
        pytest.skip(f"the recording '{name}' is not at hand (set SEG3R_DATA to the folder that holds it)")
    return root / name
