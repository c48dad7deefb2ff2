"""Small weights that come with the package, trained on its own procedural rooms; each folder's card.json says how."""

from __future__ import annotations

from pathlib import Path

from seg3r.errors import InputError

FOLDER = Path(__file__).parent.parent / "bundled"


def bundled(name: str) -> Path:
    """Folder of these weights.

    Raises:
        InputError: they are not there.
    """
    folder = FOLDER / name
    if not (folder / "model.safetensors").is_file():
        raise InputError(f"{folder}: the bundled weights '{name}' are not there; `seg3r train` makes them")
    return folder
