"""A client that ends nothing, or sends a head without end, holds no connection."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from anogan.api import connection

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def _app(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
    import asyncio

    await asyncio.sleep(0.6)  # longer than a head may take
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore
    await send({"type": "http.response.body", "body": b"ok"})  # type: ignore[operator]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve with 0.3 s for a head."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            _app, http=connection.Connection, h11_max_incomplete_event_size=connection.MOST_HEAD, lifespan="off"
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as open_:
        yield open_


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
        found += client.recv(4096)
    return found


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: here\r\nX-A: "])
def test_what_is_not_ended_is_ended(client: socket.socket, begun: bytes) -> None:
    client.sendall(begun)
    assert ended(client) == b""


def test_more_bytes_buy_no_time(client: socket.socket) -> None:
    client.settimeout(0.05)
    for _ in range(600):
        try:
            client.sendall(b"X")
            if client.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return
    pytest.fail("the connection is still open")


def test_an_answer_may_take_longer_and_a_connection_serves_again(client: socket.socket) -> None:
    for _ in range(3):
        client.sendall(REQUEST)
        assert answer(client).startswith(b"HTTP/1.1 200")


def test_the_second_request_of_a_connection_is_bounded_too(client: socket.socket) -> None:
    client.sendall(REQUEST)
    answer(client)
    client.sendall(REQUEST[:-2])
    assert ended(client) == b""


def test_a_head_without_end_is_refused(client: socket.socket) -> None:
    try:
        client.sendall(REQUEST[:-2] + b"X-Long: " + b"a" * 200_000)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert ended(client)[:12] in (b"HTTP/1.1 400", b"")
