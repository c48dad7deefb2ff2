"""Images and words -> words, from a server that speaks the OpenAI chat protocol (vLLM, SGLang, llama.cpp, hosted)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from jaxtyping import UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.types import Prompt, Reply

PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before the second try; doubled each time, unless the server says how long."""


class EndpointChat:
    """Chat by POST {base}/chat/completions: images as data URLs, temperature 0 and a seed, so that replies repeat."""

    def __init__(
        self,
        base: str,
        model: str,
        key_variable: str | None = None,
        max_tokens: int = 64,
        seed: int = 0,
        timeout_s: float = 120.0,
        tries: int = 4,
        at_once: int = 4,
        logprobs: bool = True,
    ) -> None:
        """
        Args:
            base: address up to and with the version, such as http://localhost:8000/v1.
            model: name the server knows.
            key_variable: environment variable that holds the key; the key itself is in no message and no name.
            max_tokens: of a reply.
            timeout_s: of one try.
            tries: at most; repeated when the server is busy (429) or broken (5xx) or does not answer.
            at_once: requests under way.
            logprobs: ask for the probabilities of tokens: some servers refuse.
        Raises:
            InputError: not an address, or no such variable.
        """
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{base}: not an address of a server; expected something like http://localhost:8000/v1")
        if parts.username or parts.password:
            raise InputError(f"{parts.hostname}: the address holds a password; put the key in an environment variable")
        if key_variable is not None and not os.environ.get(key_variable):
            raise InputError(f"{base}: the environment variable {key_variable} is not set; it should hold the key")
        key = os.environ.get(key_variable, "") if key_variable is not None else ""
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"{base}: the environment variable {key_variable} holds no key: it has odd characters")
        self._opener = urllib.request.build_opener(_StayPut)
        self.url = base.rstrip("/") + "/chat/completions"
        self.model, self.key_variable, self.max_tokens, self.seed = model, key_variable, max_tokens, seed
        self.timeout_s, self.tries, self.at_once, self.logprobs = timeout_s, tries, at_once, logprobs
        asked = f"{self.url} {max_tokens} {seed}"
        self.name = f"{model}@{hashlib.sha256(asked.encode()).hexdigest()[:12]}"

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Replies in the order of the prompts.

        Raises:
            InputError: the server cannot be reached, refuses, or answers in another protocol.
        """
        with ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(self._ask, prompts))

    def _ask(self, prompt: Prompt) -> Reply:
        images = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in prompt.images]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": [*images, {"type": "text", "text": prompt.text}]}],
            "temperature": 0,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
        }
        if self.logprobs:
            body["logprobs"] = True
        answer = self._post(json.dumps(body).encode())
        try:
            choice = json.loads(answer)["choices"][0]
            text = choice["message"]["content"] or ""
            chances = [float(token["logprob"]) for token in (choice.get("logprobs") or {}).get("content") or []]
            return Reply(text.strip(), math.exp(sum(chances) / len(chances)) if chances else None)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.url}: not a chat completion ({_line(answer)}); is this an OpenAI-compatible server?"
            ) from error

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key_variable is not None:
            headers["Authorization"] = f"Bearer {os.environ[self.key_variable]}"
        request = urllib.request.Request(self.url, body, headers)
        key, why = headers.get("Authorization", "").removeprefix("Bearer "), ""
        for attempt in range(self.tries):
            pause = min(PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            try:
                with self._opener.open(request, timeout=self.timeout_s) as response:
                    return bytes(response.read())
            except urllib.error.HTTPError as error:
                with error:
                    why = f"{error.code} {error.reason}: {_line(error.read())}"
                    why = why.replace(key, "***") if key else why  # a server may say back what it got
                if error.code != 429 and error.code < 500:
                    raise InputError(f"{self.url}: {why}; check the address, the model and the key") from error
                pause = _asked_pause(error.headers.get("Retry-After")) or pause
            except (OSError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", None) or error) or type(error).__name__
            if attempt + 1 < self.tries:
                time.sleep(pause)
        raise InputError(f"{self.url}: no answer after {self.tries} tries ({why}); is the server up?")


class _StayPut(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key along to whoever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


def data_url(image: UInt8[Tensor, "H W 3"]) -> str:
    """The image as a PNG in a URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.cpu().numpy()).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _asked_pause(header: str | None) -> float | None:
    """Seconds, no more than the longest pause; None where the header has none."""
    try:
        return None if header is None else min(max(0.0, float(header)), LONGEST_PAUSE_S)
    except ValueError:
        return None


def _line(answer: bytes) -> str:
    """The beginning, on one line."""
    return " ".join(answer[:200].decode("utf-8", "replace").split())
