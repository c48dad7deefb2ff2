"""Images and words -> words, from a server that speaks the OpenAI chat protocol (vLLM, SGLang, llama.cpp, hosted)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import ipaddress
import json
import math
import os
import re
import ssl
import time
import urllib.error
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from jaxtyping import UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.language.transport import CallLimits, ReplyTooLargeError, post_request
from seg3r.text import printable, well_formed
from seg3r.types import Prompt, Reply

LARGEST_REPLY = 1 << 20
"""Bytes, headers included: a hundred times what some ten tokens with their probabilities take."""
PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before the second try; doubled each time, unless the server says how long."""
QUOTED_BYTES = 1 << 13
"""Of an odd answer, looked through for the key before its beginning is quoted."""


class EndpointChat:
    """Chat by POST {base}/chat/completions: images as data URLs, temperature 0 and a seed, so that replies repeat."""

    def __init__(
        self,
        base: str,
        model: str,
        key_variable: str | None = None,
        *,
        max_tokens: int = 64,
        seed: int = 0,
        timeout_s: float = 120.0,
        deadline_s: float = 300.0,
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
            timeout_s: of one try, from the connection to the last byte.
            deadline_s: of one prompt, all tries and pauses together.
            tries: at most; repeated when the server is busy (429) or broken (5xx) or does not answer.
            at_once: requests under way.
            logprobs: ask for the probabilities of tokens: some servers refuse.
        Raises:
            InputError: not an address, or no such variable.
        """
        base = checked_address(base)
        if key_variable is not None and not os.environ.get(key_variable):
            raise InputError(f"{base}: the environment variable {key_variable} is not set; it should hold the key")
        key = os.environ.get(key_variable, "") if key_variable is not None else ""
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"{base}: the environment variable {key_variable} holds no key: it has odd characters")
        self._tls = ssl.create_default_context()
        self.url = base.rstrip("/") + "/chat/completions"
        self.model, self.key_variable, self.max_tokens, self.seed = model, key_variable, max_tokens, seed
        self.timeout_s, self.deadline_s, self.tries = timeout_s, deadline_s, tries
        self.at_once, self.logprobs = at_once, logprobs
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
        images = [{"type": "image_url", "image_url": {"url": png_url(image)}} for image in prompt.images]
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
        reply = read_reply(answer)
        if reply is None:
            quoted = self._quoted(answer)
            raise InputError(f"{self.url}: not a chat completion ({quoted}); is this an OpenAI-compatible server?")
        return reply

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key_variable is not None:
            headers["Authorization"] = f"Bearer {self._key()}"
        end, why = time.monotonic() + self.deadline_s, ""
        for attempt in range(self.tries):
            pause = min(PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            seconds = min(self.timeout_s, end - time.monotonic())
            try:
                return post_request(self.url, body, headers, limits=CallLimits(seconds, LARGEST_REPLY), tls=self._tls)
            except urllib.error.HTTPError as error:
                why = f"{error.code} {self._quoted(f'{error.reason}: '.encode() + _beginning(error))}"
                if error.code != 429 and error.code < 500:
                    raise InputError(f"{self.url}: {why}; check the address, the model and the key") from error
                pause = _asked_pause(error.headers.get("Retry-After")) or pause
            except ReplyTooLargeError as error:
                raise InputError(
                    f"{self.url}: the reply is larger than {LARGEST_REPLY} bytes; is this an OpenAI-compatible server?"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                slow = isinstance(reason, TimeoutError)
                reason_bytes = (str(reason) or type(error).__name__).encode("utf-8", "replace")
                why = f"no whole reply within {seconds:.3g} s" if slow else self._quoted(reason_bytes)
            except ValueError as error:
                raise InputError(f"{self.url}: cannot be asked ({error}); check the address and the proxy") from error
            if attempt + 1 == self.tries:
                break
            if time.monotonic() + pause >= end:
                raise InputError(f"{self.url}: no answer within {self.deadline_s:.3g} s ({why}); is the server up?")
            time.sleep(pause)
        raise InputError(f"{self.url}: no answer after {self.tries} tries ({why}); is the server up?")

    def _key(self) -> str:
        return os.environ.get(self.key_variable, "") if self.key_variable is not None else ""

    def _quoted(self, answer: bytes) -> str:
        """The beginning, on one line and without the key: a server may say back what it got."""
        text, key = answer[:QUOTED_BYTES].decode("utf-8", "replace"), self._key()
        if key:
            text = text.replace(key, "***")
        return printable(" ".join(text[:200].split()))


def checked_address(base: str) -> str:
    """`base`, if requests can be sent there.

    Raises:
        InputError: not an address up to a version, or one that holds a password.
    """
    shown = printable(re.sub("^([a-z]*://)?.*@", r"\1***@", base, flags=re.DOTALL)[:200])
    expected = "expected something like http://localhost:8000/v1"
    if not base.isascii():
        raise InputError(f"{shown}: not an address in ASCII; write the host as xn--..., the rest with %; {expected}")
    if " " in base or not base.isprintable():
        raise InputError(f"{shown}: not an address: a space or a control character stands in it; {expected}")
    try:
        parts = urlsplit(base)
        port, host = parts.port, (parts.hostname or "").encode("idna")
        if "[" in parts.netloc:
            ipaddress.IPv6Address(parts.hostname or "")  # Python 3.10 takes any word in brackets
    except ValueError as error:  # a bracket, a port, a host
        raise InputError(f"{shown}: not an address of a server; {expected}") from error
    if "@" in parts.netloc:
        raise InputError(f"{shown}: the address holds a password; put the key in an environment variable")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise InputError(f"{shown}: not an address of a server; {expected}")
    if parts.query or parts.fragment:
        raise InputError(f"{shown}: not an address up to a version: it holds a ? or a #; {expected}")
    return base


def split_endpoint(named: str) -> tuple[str, str]:
    """Address and model of URL#MODEL.

    Raises:
        InputError: as `checked_address`, or no model.
    """
    base, _, model = named.partition("#")
    base = checked_address(base)
    if not model:
        raise InputError(f"{base}: name the model after a #, as in {base}#qwen3-vl")
    return base, model


def read_reply(answer: bytes) -> Reply | None:
    """What a chat completion says; None where it is none. Confidence is None where its probabilities are odd."""
    try:
        choice = json.loads(answer)["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not isinstance(text, str | None):
        return None
    return Reply(well_formed(text or "").strip(), _confidence(choice))


def _confidence(choice: Any) -> float | None:
    try:
        chances = [token["logprob"] for token in choice["logprobs"]["content"]]
        mean = sum(chances) / len(chances)
    except (LookupError, TypeError, ArithmeticError):
        return None
    return math.exp(min(mean, 0.0)) if mean < 1e-3 else None  # not for NaN either


def png_url(image: UInt8[Tensor, "H W 3"]) -> str:
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


def _beginning(error: urllib.error.HTTPError) -> bytes:
    """Of what a refusal says, as far as it can be read."""
    try:
        with error:
            return error.read(QUOTED_BYTES)
    except (OSError, http.client.HTTPException):
        return b""
