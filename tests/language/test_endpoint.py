"""Questions to a server: a real one, in a thread."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seg3r.errors import InputError
from seg3r.language import endpoint
from seg3r.language.endpoint import EndpointChat
from seg3r.protocols import Chat
from seg3r.types import Prompt

KEY = "sk-very-secret"


class Server(ThreadingHTTPServer):
    """Answers by looking: the mean colour of the last image and the last word of the question."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.troubles: list[tuple[int, dict[str, str]]] = []
        """(status, headers) of the next answers."""
        self.body: bytes | None = None
        self.logprobs: list[float] | None = [-0.1, -0.3]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), asked))
        if self.server.troubles:
            status, headers = self.server.troubles.pop(0)
            said = f"no, not with\n{self.headers.get('Authorization')}".encode()
            return self.send(status, said, headers)
        if self.server.body is not None:
            return self.send(200, self.server.body, {})
        content = asked["messages"][0]["content"]
        images = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        text = " " + content[-1]["text"].split()[-1]
        if images:
            head, _, data = images[-1].partition(",")
            assert head == "data:image/png;base64"
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
            text += " " + " ".join(str(int(v)) for v in pixels.mean((0, 1)))
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text + "\n"}}
        if self.server.logprobs is not None and asked.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": "x", "logprob": v} for v in self.server.logprobs]}
        return self.send(200, json.dumps({"choices": [choice]}).encode(), {})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(endpoint.time, "sleep", slept.append)
    return slept


def prompt(color: tuple[int, int, int], text: str) -> Prompt:
    return Prompt((torch.tensor(color, dtype=torch.uint8).expand(7, 5, 3),), text)


def test_images_and_words_go_and_replies_come_in_order(server: Server) -> None:
    chat = EndpointChat(server.base, "some-model", max_tokens=9, seed=5)
    assert isinstance(chat, Chat)
    prompts = [prompt((i, 2 * i, 255 - i), f"Is this 椅子{i}?") for i in range(12)] + [Prompt((), "Hello there")]
    replies = chat(prompts)
    assert [r.text for r in replies[:-1]] == [f"椅子{i}? {i} {2 * i} {255 - i}" for i in range(12)]
    assert replies[-1].text == "there"
    assert all(r.confidence == pytest.approx(math.exp(-0.2)) for r in replies)
    path, headers, asked = server.asked[0]
    assert path == "/v1/chat/completions" and headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert {k: asked[k] for k in ("model", "temperature", "seed", "max_tokens", "logprobs")} == {
        "model": "some-model", "temperature": 0, "seed": 5, "max_tokens": 9, "logprobs": True
    }
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["image_url", "text"]


def test_no_confidence_where_the_server_does_not_tell(server: Server) -> None:
    server.logprobs = None
    assert EndpointChat(server.base, "m")([prompt((1, 2, 3), "what")])[0].confidence is None
    assert EndpointChat(server.base, "m", logprobs=False)([Prompt((), "what")])[0].confidence is None
    assert "logprobs" not in server.asked[-1][2]


def test_a_busy_server_is_asked_again(server: Server, pauses: list[float]) -> None:
    server.troubles = [(429, {"Retry-After": "7"}), (503, {}), (500, {"Retry-After": "tomorrow"})]
    assert EndpointChat(server.base, "m")([Prompt((), "hi")])[0].text == "hi"
    assert pauses == [7.0, 2.0, 4.0] and len(server.asked) == 4


def test_a_broken_one_not_for_ever(server: Server, pauses: list[float]) -> None:
    server.troubles = [(503, {})] * 9
    with pytest.raises(InputError, match=r"/v1/chat/completions: no answer after 2 tries \(503 .*server up"):
        EndpointChat(server.base, "m", tries=2)([Prompt((), "hi")])
    assert len(server.asked) == 2 and len(pauses) == 1


def test_a_refusal_is_final_and_the_key_stays_secret(
    server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    chat = EndpointChat(server.base, "m", key_variable="SOME_KEY")
    assert chat([Prompt((), "hi")])[0].text == "hi"
    assert server.asked[0][1]["Authorization"] == f"Bearer {KEY}"
    server.troubles = [(401, {})]
    with pytest.raises(InputError) as caught:
        chat([Prompt((), "hi")])
    message = str(caught.value)
    assert server.base in message and "401" in message and "\n" not in message and not pauses
    assert KEY not in message and KEY not in chat.name and KEY not in repr(vars(chat))


def test_no_redirect_takes_the_key_elsewhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    with Server() as other:
        server.troubles = [(307, {"Location": other.base}), (302, {"Location": other.base})]
        for _ in range(2):
            with pytest.raises(InputError, match=r"30[27]"):
                EndpointChat(server.base, "m", key_variable="SOME_KEY")([Prompt((), "hi")])
        assert other.asked == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"{}", b'{"choices": []}', b"[1]", b'{"choices": [{}]}'])
def test_another_protocol_is_named(server: Server, body: bytes) -> None:
    server.body = body
    with pytest.raises(InputError, match="chat/completions: not a chat completion"):
        EndpointChat(server.base, "m")([Prompt((), "hi")])


def test_nobody_there(pauses: list[float]) -> None:
    with Server() as gone:
        base = gone.base
    with pytest.raises(InputError, match=r"no answer after 3 tries \(.*refused"):
        EndpointChat(base, "m", tries=3)([Prompt((), "hi")])
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize("base", ["localhost:8000/v1", "file:///etc/passwd", "", "http://"])
def test_not_an_address(base: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        EndpointChat(base, "m")


def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match="SOME_KEY is not set"):
        EndpointChat("http://x/v1", "m", key_variable="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "a\nb")
    with pytest.raises(InputError, match="odd characters"):
        EndpointChat("http://x/v1", "m", key_variable="SOME_KEY")
    with pytest.raises(InputError, match="holds a password") as caught:
        EndpointChat("http://me:hush@x/v1", "m")
    assert "hush" not in str(caught.value)


def test_the_name_tells_servers_and_models_apart() -> None:
    names = {EndpointChat(b, m).name for b in ("http://a/v1", "http://b/v1") for m in ("x", "y")}
    assert len(names) == 4 and EndpointChat("http://a/v1/", "x").name in names
