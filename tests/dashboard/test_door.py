"""Who may ask the dashboard at all: by host name, and for pictures by the sign-in."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from test_browser import served

from anogan.dashboard import door
from anogan.review import Desk

SECRET = "0123456789abcdef" * 2
COOKIE = "_streamlit_user"


async def page(_: Any) -> PlainTextResponse:
    return PlainTextResponse("a heat map")


async def socket(connection: WebSocket) -> None:
    await connection.accept()
    await connection.send_text("the queue")
    await connection.close()


def client(name: str = "http://127.0.0.1:8501") -> TestClient:
    routes = [Route("/", page), Route("/media/{name}", page), WebSocketRoute("/_stcore/stream", socket)]
    return TestClient(Starlette(routes=routes, middleware=door.middleware()), base_url=name)


@pytest.mark.parametrize("name", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501"])
def test_this_machine_goes_by_its_own_names(name: str) -> None:
    assert client(f"http://{name}").get("/").text == "a heat map"


@pytest.mark.parametrize("name", ["evil.example:8501", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7"])
def test_a_name_that_was_made_to_lead_here_gets_nothing(name: str) -> None:
    asked = client(f"http://{name}")
    for path in ("/", "/media/hash.png", "/nothing"):
        assert asked.get(path).status_code == 400
    with pytest.raises(WebSocketDisconnect), asked.websocket_connect("/_stcore/stream", headers={"host": name}) as one:
        one.receive_text()


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"], [""], ["evil.example@127.0.0.1"]])
def test_no_host_or_several_are_refused(hosts: list[str]) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "scheme": "http",
        "headers": [(b"host", name.encode()) for name in hosts],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await client().app(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert sent[0]["status"] == 400


def test_the_address_of_the_sign_in_is_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "secrets", {"auth": {"redirect_uri": "https://Desk.example.org/oauth2callback"}})
    assert client("http://desk.example.org").get("/").status_code == 200
    assert client("http://evil.example").get("/").status_code == 400


def test_an_address_to_listen_on_is_a_name_but_any_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    option = st.get_option
    for address, known in (("192.168.1.5", True), ("0.0.0.0", False), ("::", False), (None, False)):
        monkeypatch.setattr(
            st, "get_option", lambda name, here=address: here if name == "server.address" else option(name)
        )
        assert ("192.168.1.5" in door.hosts()) == known
        assert "0.0.0.0" not in door.hosts()


class Secrets(dict[str, Any]):
    def load_if_toml_exists(self) -> bool:
        return bool(self)


@pytest.fixture
def signing_in(team_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return the team's desk behind a sign-in."""
    monkeypatch.setenv("ANOGAN_SIGN_IN", "required")
    monkeypatch.setattr(st, "secrets", Secrets(auth={"cookie_secret": SECRET}))
    return team_desk


def cookie(name: str = "ana", secret: str = SECRET, **claims: Any) -> str:
    held = {"is_logged_in": True, "preferred_username": name, "exp": time.time() + 60} | claims
    return create_signed_value(secret, COOKIE, json.dumps(held)).decode()


def asked(value: str) -> int:
    return client().get("/media/hash.png", headers={"cookie": f"{COOKIE}={value}"} if value else {}).status_code


def test_a_picture_is_for_members_who_have_signed_in(signing_in: Desk) -> None:
    assert asked(cookie("ana")) == 200
    assert asked("") == 403
    assert client().get("/").status_code == 200  # the way in is open


@pytest.mark.parametrize(
    "value",
    [
        cookie("eve"),  # signed in, but no member
        cookie("ana", secret="f" * 32),
        cookie("ana", exp=1),
        cookie("ana", exp=None),
        cookie("ana", is_logged_in=False),
        cookie("ana", is_logged_in="yes"),
        create_signed_value(SECRET, "another", json.dumps({"is_logged_in": True})).decode(),
        create_signed_value(SECRET, COOKIE, "[]").decode(),
        create_signed_value(SECRET, COOKIE, "chunks-99999999").decode(),
        "nonsense",
    ],
    ids=lambda value: "",
)
def test_a_cookie_that_says_less_opens_nothing(signing_in: Desk, value: str) -> None:
    assert asked(value) == 403


def test_who_is_no_member_any_more_sees_no_picture(signing_in: Desk) -> None:
    signing_in.set_role("ana", None)
    assert asked(cookie("ana")) == 403


def test_settings_that_are_gone_show_no_picture(signing_in: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in (Secrets(), Secrets(auth={}), Secrets(other={})):
        monkeypatch.setattr(st, "secrets", broken)
        assert asked(cookie("ana")) == 403


@pytest.mark.browser
def test_the_real_server_answers_to_its_name_alone(run: Path, port: int, tmp_path: Path) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==", "Sec-WebSocket-Protocol": "streamlit",
    }  # fmt: skip

    def status(host: str, path: str, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("GET", path, headers={"Host": host} | headers)
        found = connection.getresponse().status
        connection.close()
        return found

    with served(run, port, tmp_path / "server.log"):
        own, other = f"127.0.0.1:{port}", f"evil.example:{port}"
        assert status(own, "/", {}) == 200
        assert status(own, "/_stcore/stream", upgrade | {"Origin": f"http://{own}"}) == 101
        assert status(other, "/", {}) == 400
        assert status(other, "/_stcore/stream", upgrade | {"Origin": f"http://{other}"}) in (400, 403)
