"""Who waits the longest makes room, and an answer that nobody reads is ended."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from anogan.api import connection

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def _app(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore
    await send({"type": "http.response.body", "body": b"ok"})  # type: ignore[operator]


@contextmanager
def serving(app: Any, protocol: type[connection.Connection] = connection.Connection) -> Iterator[int]:
    """Serve an application and return its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=protocol, h11_max_incomplete_event_size=connection.MOST_HEAD, lifespan="off")
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def ended(client: socket.socket) -> bytes:
    """Return all that comes until the server ends the connection."""
    found = b""
    try:
        while data := client.recv(4096):
            found += data
    except ConnectionResetError:
        pass
    return found


def answer(client: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"ok"):
        data = client.recv(4096)
        assert data, "the connection was ended before the answer"
        found += data
    return found


def test_those_that_wait_the_longest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 600.0)
    monkeypatch.setattr(connection, "MOST_WAITING_EACH", 3)
    begun, leave = threading.Event(), threading.Event()

    async def told(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.to_thread(leave.wait)
        await _app(scope, receive, send)

    with serving(told) as port, ExitStack() as stack:

        def connected(data: bytes) -> socket.socket:
            made = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
            made.sendall(data)
            return made

        at_work = connected(REQUEST)
        assert begun.wait(120)
        waiting = [connected(b"G") for _ in range(5)]
        assert [ended(one) for one in waiting[:2]] == [b"", b""]
        leave.set()
        waiting[-1].sendall(REQUEST[1:])
        assert answer(waiting[-1]).startswith(b"HTTP/1.1 200")
        assert answer(at_work).startswith(b"HTTP/1.1 200")  # a request at work is not among them


@pytest.mark.parametrize("size", [60_000_000, 4_000_000])
def test_an_answer_that_nobody_reads_is_ended(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READING_SECONDS", 0.3)
    gone = threading.Event()

    async def large(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": bytes(size)})  # type: ignore[operator]

    class Told(connection.Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            gone.set()

    with serving(large, Told) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(REQUEST[:-2] + b"Connection: close\r\n\r\n")
        assert gone.wait(120)
