"""Replies kept on disk: the same question about the same pictures to the same model is asked once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from seg3r.files import write_json
from seg3r.protocols import Chat
from seg3r.reading import DAMAGED
from seg3r.types import Prompt, Reply


class Cached:
    """A Chat that remembers another's replies, one small file each."""

    def __init__(self, chat: Chat, folder: Path) -> None:
        self.chat, self.folder, self.name = chat, folder, chat.name

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Replies in the order of the prompts; only what is new is asked."""
        keys = [key_of(prompt, self.name) for prompt in prompts]
        known = {key: reply for key in dict.fromkeys(keys) if (reply := self._read(key)) is not None}
        fresh = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        for key, reply in zip(fresh, self.chat(list(fresh.values())) if fresh else (), strict=True):
            self._write(key, reply)
            known[key] = reply
        return [known[key] for key in keys]

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _read(self, key: str) -> Reply | None:
        try:
            held = json.loads(self._path(key).read_text(encoding="utf-8"))
            text, confidence = held["text"], held["confidence"]
            if not isinstance(text, str) or not (confidence is None or 0 <= confidence <= 1):
                return None
            return Reply(text, None if confidence is None else float(confidence))
        except DAMAGED:
            return None  # absent, or half of it: ask again

    def _write(self, key: str, reply: Reply) -> None:
        write_json(self._path(key), {"text": reply.text, "confidence": reply.confidence}, indent=None)


def key_of(prompt: Prompt, model: str) -> str:
    """sha256 of the model's name, the words, and every image with its shape."""
    digest = hashlib.sha256(f"{model}\0{prompt.text}\0".encode("utf-8", "surrogatepass"))
    for image in prompt.images:
        digest.update(f"{tuple(image.shape)}\0".encode())
        digest.update(image.cpu().numpy().tobytes())
    return digest.hexdigest()
