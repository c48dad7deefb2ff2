"""A hub in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from seg3r.weights.hub import Remote

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

    def listing(self, repo: str, revision: str) -> tuple[str, list[Remote]]:
        return self.commit, [self._remote(name, content) for name, content in self.files.items()]

    @staticmethod
    def _remote(name: str, content: bytes) -> Remote:
        if name.endswith((".safetensors", ".bin")):
            return Remote(name, hashlib.sha256(content).hexdigest(), None)
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        return Remote(name, None, blob)

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
