"""POST over HTTP with limits: a call ends by the clock, reads no more than it may, and goes nowhere else.

The timeout of a socket is for one look at the wire, and a server that sends a byte every second keeps within it for
ever. Here every look gets what is left of the whole call, and every byte of answer counts, headers included.
"""

from __future__ import annotations

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

_CHUNK = 1 << 16


class ReplyTooLargeError(http.client.HTTPException):
    """A server sent more than it was allowed."""


class CallLimits:
    """Of one call: until when, and how many bytes of answer. Starts when it is made."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._until, self._bytes = time.monotonic() + seconds, most_bytes

    def left_s(self) -> float:
        """Seconds until the end.

        Raises:
            TimeoutError: there are none.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def count(self, byte_count: int) -> None:
        """So many more bytes came.

        Raises:
            ReplyTooLargeError: too many.
        """
        self._bytes -= byte_count
        if self._bytes < 0:
            raise ReplyTooLargeError


def post_request(
    url: str, body: bytes, headers: Mapping[str, str], *, limits: CallLimits, tls: ssl.SSLContext
) -> bytes:
    """The body of the answer. Proxies of the environment are used; redirects are not followed, for they would take the
    headers, and the key in them, to whoever they name.

    Args:
        tls: whom to trust, for https.

    Raises:
        urllib.error.HTTPError: the server refuses, or sends elsewhere.
        OSError, http.client.HTTPException: it cannot be reached, is too slow, or breaks off.
        ReplyTooLargeError: the answer is longer than allowed.
        ValueError: the address, or that of a proxy, is none.
    """
    opener = urllib.request.build_opener(_StayPut, _PlainHandler(limits), _SecureHandler(limits, tls))
    request = urllib.request.Request(url, body, dict(headers))
    with opener.open(request, timeout=limits.left_s()) as response:
        parts = list(iter(functools.partial(response.read, _CHUNK), b""))
        if response.length:
            raise http.client.IncompleteRead(b"".join(parts), response.length)
        return b"".join(parts)


class _StayPut(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, limits: CallLimits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_PlainConnection, limits=self._limits), req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, limits: CallLimits, tls: ssl.SSLContext) -> None:
        super().__init__(context=tls)
        self._limits, self._tls = limits, tls

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_SecureConnection, limits=self._limits), req, context=self._tls)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, host: str, *, limits: CallLimits, **options: Any) -> None:
        super().__init__(host, **options)
        self._limits = limits
        self._create_connection = functools.partial(_connect, limits)

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _LimitedSocket(self.sock, self._limits)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, limits: CallLimits, **options: Any) -> None:
        super().__init__(host, **options)
        self._limits = limits
        self._create_connection = functools.partial(_connect, limits)

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _LimitedSocket(self.sock, self._limits)


def _connect(limits: CallLimits, address: tuple[str, int], *settings: object) -> socket.socket:
    """To the first place of that name that answers; each of several gets its share of the time.

    `settings`: timeout and source, as `socket.create_connection` gets them; the limits know better.
    """
    places = _places(limits, address)
    trouble = OSError(f"{address[0]} has no address")
    for n, (family, kind, protocol, _, place) in enumerate(places):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(limits.left_s() / (len(places) - n))
            connection.connect(place)
            connection.settimeout(limits.left_s())  # a TLS handshake may take it all
            return connection
        except OSError as error:
            connection.close()
            trouble = error
    raise trouble


def _places(limits: CallLimits, address: tuple[str, int]) -> list[Any]:
    """Where a name leads. The system's look-up knows no timeout and cannot be ended: it is left behind."""
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(list(socket.getaddrinfo(*address, type=socket.SOCK_STREAM)))
        except Exception as error:  # raised again where it is waited for
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=limits.left_s())
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


class _LimitedSocket:
    """What `http.client` asks of a connected socket."""

    def __init__(self, connected: socket.socket, limits: CallLimits) -> None:
        self._socket, self._limits = connected, limits

    def sendall(self, content: bytes) -> None:
        self._socket.settimeout(self._limits.left_s())
        self._socket.sendall(content)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_LimitedReader(self._socket, self._limits))

    def close(self) -> None:
        self._socket.close()


class _LimitedReader(io.RawIOBase):
    def __init__(self, connected: socket.socket, limits: CallLimits) -> None:
        self._socket, self._limits = connected, limits
        self._stream = connected.makefile("rb", buffering=0)  # it keeps the socket open until it is closed itself

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._limits.left_s())
        count = self._stream.readinto(buffer) or 0
        self._limits.count(count)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
