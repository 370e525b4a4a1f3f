"""A client that ends nothing, or sends a head without end, holds no connection."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from anogan.api import connection

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


PATIENT = 600.0
IMPATIENT = pytest.mark.parametrize("port", [0.3], indirect=True)
waiting: list[bool] = []  # of each request, whether a deadline of its connection still ran while it was answered


async def _app(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
    waiting.append(any(one._deadline for one in scope["app_connections"]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore
    await send({"type": "http.response.body", "body": b"ok"})  # type: ignore[operator]


@pytest.fixture
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve with so many seconds for a head; where a test waits for no end, a slow machine must not bring it."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", getattr(request, "param", PATIENT))
    waiting.clear()

    async def app(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        await _app(scope | {"app_connections": list(server.server_state.connections)}, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=connection.Connection,
            h11_max_incomplete_event_size=connection.MOST_HEAD,
            lifespan="off",
            timeout_keep_alive=int(PATIENT),
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
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENT) as open_:
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
        data = client.recv(4096)
        assert data, "the connection was ended before the answer"
        found += data
    return found


@IMPATIENT
@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: here\r\nX-A: "])
def test_what_is_not_ended_is_ended(client: socket.socket, begun: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # a slow client finds it ended already
        client.sendall(begun)
    assert ended(client) == b""


@IMPATIENT
def test_more_bytes_buy_no_time(client: socket.socket) -> None:
    client.settimeout(0.05)
    for _ in range(12_000):
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
    assert waiting == [False] * 3


def test_the_second_request_of_a_connection_is_bounded_too(
    client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)  # from its first answer on
    client.sendall(REQUEST)
    answer(client)
    with contextlib.suppress(ConnectionError):  # a slow client finds it ended already
        client.sendall(REQUEST[:-2])
    assert ended(client) == b""


def test_a_head_without_end_is_refused(client: socket.socket) -> None:
    try:
        client.sendall(REQUEST[:-2] + b"X-Long: " + b"a" * 200_000)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert ended(client)[:12] in (b"HTTP/1.1 400", b"")
