"""Servers that are slow, endless or odd: the call ends by the clock, and in one line."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seg3r.errors import InputError
from seg3r.language import endpoint
from seg3r.language.endpoint import LARGEST_REPLY, EndpointChat, checked_address, read_reply, split_endpoint
from seg3r.types import Prompt

Script = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"
KEY = "sk-very-secret"


class RawServer:
    """Says to every caller what `script` says, until it is closed."""

    def __init__(self) -> None:
        self.script: Script = lambda connection: None
        self.calls = 0
        self.closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self.closing.is_set():
                connection.close()
                return
            self.calls += 1
            thread = threading.Thread(target=self._answer, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                with connection.makefile("rb") as got:
                    got.readline()
                    got.read(int(http.client.parse_headers(got)["Content-Length"]))  # unread, it would reset all
                self.script(connection)
            except OSError:
                return  # the caller has gone

    def drip(self, connection: socket.socket, part: bytes, times: int = 10**9) -> None:
        """`part` again and again, each well within any timeout of a socket."""
        for _ in range(times):
            if self.closing.wait(0.02):
                return
            connection.sendall(part)

    def close(self) -> None:
        """Ends when every answer has."""
        if self.closing.is_set():
            return
        self.closing.set()
        socket.create_connection(self._socket.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._socket.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    monkeypatch.setattr(endpoint, "PAUSE_S", 0.05)
    server = RawServer()
    yield server
    server.close()


def refusal(server: RawServer, **options: Any) -> str:
    """What a question to the server ends with."""
    with pytest.raises(InputError) as caught:
        EndpointChat(server.base, "m", **{"tries": 1, **options})([Prompt((), "hi")])
    message = str(caught.value)
    assert message.isprintable() and len(message) < 500 and server.base in message
    return message


SLOW: dict[str, tuple[bytes, bytes]] = {
    "silence": (b"", b""),
    "the first line": (b"HTTP/1.1 200 O", b"K"),
    "headers": (OK, b"X: y\r\n"),
    "one header": (OK + b"X: ", b"y"),
    "a body of a known length": (OK + b"Content-Length: 5000\r\n\r\n{", b" "),
    "a body without a length": (OK + b"\r\n{", b" "),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the size of a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "a trailer": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "preliminaries": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a refusal": (b"HTTP/1.1 400 Bad\r\nContent-Length: 5000\r\n\r\n", b"n"),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_server_that_drips_is_left_at_the_deadline(what: str, server: RawServer) -> None:
    first, part = SLOW[what]

    def script(connection: socket.socket) -> None:
        connection.sendall(first)
        server.drip(connection, part)

    server.script = script
    began = time.monotonic()
    message = refusal(server, timeout_s=0.25)
    assert 0.2 < time.monotonic() - began < 10
    assert ("400 Bad" if what == "a refusal" else "no whole reply within 0.25 s") in message


def test_all_tries_and_pauses_have_one_deadline(server: RawServer) -> None:
    server.script = lambda connection: server.drip(connection, b"")
    began = time.monotonic()
    message = refusal(server, timeout_s=0.15, deadline_s=0.4, tries=100)
    assert "no answer within 0.4 s (no whole reply within" in message
    assert 0.2 < time.monotonic() - began < 10 and 1 < server.calls < 5


def test_an_address_that_takes_no_connection_is_left_too() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # the queue is full: the next connection hangs
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        began = time.monotonic()
        with pytest.raises(InputError, match=r"no whole reply within 0\.3 s"):
            EndpointChat(f"http://127.0.0.1:{full.getsockname()[1]}", "m", tries=1, timeout_s=0.3)([Prompt((), "hi")])
        assert time.monotonic() - began < 10
        for each in waiting:
            each.close()


def test_a_name_that_is_looked_up_for_ever_is_left_too(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [end.wait(60)])
    began = time.monotonic()
    with pytest.raises(InputError, match=r"no whole reply within 0\.3 s"):
        EndpointChat("http://somewhere.example/v1", "m", tries=1, timeout_s=0.3)([Prompt((), "hi")])
    end.set()
    assert time.monotonic() - began < 10


def test_a_name_that_leads_nowhere_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(InputError, match="Name or service not known"):
        EndpointChat("http://nowhere.example/v1", "m", tries=1)([Prompt((), "hi")])


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (OK + b"\r\n", b" " * 65536),
        (OK + b"Content-Length: 999999999999999\r\n\r\n", b" " * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", b" " * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + b"y" * 60000 + b"\r\n"),
    ],
)
def test_no_more_is_read_than_a_reply_takes(head: bytes, part: bytes, server: RawServer) -> None:
    sent = 0

    def script(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(head)
        for _ in range(2000):
            connection.sendall(part)
            sent += len(part)

    server.script = script
    assert "the reply is larger than 1048576 bytes" in refusal(server, timeout_s=20.0, tries=4)
    assert server.calls == 1, "a second try would bring the same"
    server.close()
    assert sent < LARGEST_REPLY + (16 << 20), "what lies in the system's own buffers is all that more was sent"


def test_a_reply_that_breaks_off_is_asked_for_again(server: RawServer) -> None:
    whole = b'{"choices": [{"message": {"content": "yes"}}]}'

    def script(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(whole) + whole[: None if server.calls > 2 else 9])

    server.script = script
    assert EndpointChat(server.base, "m", tries=3)([Prompt((), "hi")])[0].text == "yes"
    assert server.calls == 3


def choice(content: Any, logprobs: Any = None) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "logprobs": logprobs}]}).encode()


DEEP = b'{"choices": ' + b"[" * 200_000
ODD = [
    b"", b"<html>hello</html>", b"\xff\xfe\x00", b"\xff" * 50, DEEP, DEEP + b"]" * 200_000 + b"}", b"9" * 100_000,
    b'{"choices": []}', b'{"choices": {}}', b'{"choices": null}', b'{"choices": "abc"}', b'{"choices": 7}', b"null",
    b"[]",
    b'{"choices": [null]}', b'{"choices": [[]]}', b'{"choices": [{"message": null}]}',
    b'{"choices": [{"message": "x"}]}',
    choice(7), choice(["yes"]), choice({"a": 1}), choice(True), b'{"error": {"message": "\\u001b]0;x\\u0007"}}',
    b'{"error": "\x1b]0;owned\x07 \xc2\x9b31m \xe2\x80\xae"}',
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_what_is_no_chat_completion_is_one_line(body: bytes, server: RawServer) -> None:
    assert read_reply(body) is None
    server.script = lambda connection: connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert "not a chat completion" in refusal(server)


@pytest.mark.parametrize(
    "answer",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 \x1b]0;x\x07 OK\r\n\r\n", b"", b"HTTP/9.9 999 ?\r\n\r\n", b"\x00" * 100,
     OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", OK + b"X: y\r\n" * 200, OK + b"X" * 70000 + b"\r\n\r\n",
     b"HTTP/1.1 400 \x1b[2J\x9b\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n"],
    ids=range(10),
)
def test_what_is_no_http_is_one_line(answer: bytes, server: RawServer) -> None:
    server.script = lambda connection: connection.sendall(answer)
    refusal(server, timeout_s=1.0)


@pytest.mark.parametrize(
    ("logprobs", "confidence"),
    [
        ({"content": [{"logprob": -0.1}, {"logprob": -0.3}]}, math.exp(-0.2)),
        ({"content": [{"logprob": -math.inf}]}, 0.0),
        *[({"content": [{"logprob": odd}]}, None) for odd in (math.nan, math.inf, 5, "-1", None, [], -(10**400))],
        *[(odd, None) for odd in ([], 7, "x", {"content": None}, {"content": 3}, {"content": {}}, {"content": [3]})],
    ],
)
def test_odd_probabilities_are_no_confidence(logprobs: Any, confidence: float | None) -> None:
    reply = read_reply(choice(" yes ", logprobs))
    assert reply is not None and reply.text == "yes"
    assert reply.confidence == (None if confidence is None else pytest.approx(confidence))


def test_half_a_surrogate_pair_comes_to_no_encoder() -> None:
    reply = read_reply(b'{"choices": [{"message": {"content": "a \\ud83d"}}]}')
    assert reply is not None and reply.text == "a \ufffd"
    assert read_reply(choice(None)) is not None  # some servers say nothing so


ADDRESSES = [
    "http://[::1/v1", "http://[::1/v1#m", "http://[x]/v1", "http://x:abc/v1", "http://x:99999/v1", "http://x:-1/v1",
    "http://x:0/v1", "http:///v1", "http://", "http:", "//x/v1", "ftp://x/v1", "", "http://bücher.example/v1",
    "http://x/väg", "http://a b/v1", "http://x/v1 ", "http://x\n/v1", "http://x\x1b/v1", "http://x\x00/v1",
    "http://a..b/v1", f"http://{'a' * 64}.org/v1", "http://x/v1?key=1", "http://\ud800/v1",
]


@pytest.mark.parametrize("base", ADDRESSES, ids=range(len(ADDRESSES)))
def test_an_odd_address_is_one_line_before_anything_is_asked(base: str) -> None:
    for check in (lambda: EndpointChat(base, "m"), lambda: split_endpoint(base + "#m")):
        with pytest.raises(InputError, match="not an address") as caught:
            check()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("base", ["http://[::1]:80/v1", "https://x.org/v1/", "http://localhost", "http://127.0.0.1:1/v1"])
def test_an_address_stays_as_it_is(base: str) -> None:
    assert checked_address(base) == base
    assert split_endpoint(f"{base}#qwen#3") == (base, "qwen#3")
    with pytest.raises(InputError, match="name the model after a #"):
        split_endpoint(base)


@pytest.mark.parametrize(
    "base", ["http://me:hush@x/v1", "http://me:hush@x:abc/v1", "http://me:hush@[x/v1", "http://me:hu/hush@x/v1",
             "http://me:hush@bücher/v1", "http://me:hush@x y/v1", "me:hush@x/v1", "http://hush@/v1"],
)
def test_no_message_holds_the_password_of_an_address(base: str) -> None:
    for check in (lambda: EndpointChat(base, "m"), lambda: split_endpoint(base)):
        with pytest.raises(InputError) as caught:
            check()
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("place", ["in full", "where the quotation ends"])
def test_a_key_that_is_said_back_is_not_quoted(place: str, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    body = b"you sent " + b"." * (0 if place == "in full" else 180) + KEY.encode()
    for head in (OK, b"HTTP/1.1 403 No\r\n", b"HTTP/1.1 503 No\r\n", b"HTTP/1.1 403 %s\r\n" % KEY.encode()):
        server.script = lambda connection, head=head: connection.sendall(  # type: ignore[misc]
            head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert KEY[:8] not in refusal(server, key_variable="SOME_KEY")
