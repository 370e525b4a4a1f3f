"""What every request to the dashboard passes before Streamlit sees it: its host name, and for pictures the sign-in.

Streamlit checks the host of its socket alone, if it is told to, and hands out a picture to whoever names its hash.
"""

from __future__ import annotations

import contextlib
import functools
import json
from urllib.parse import urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from anogan.config import LOOPBACK
from anogan.dashboard import desk, sign_in
from anogan.review import Desk, open_desk

_PICTURES = "/media/"
_ANY = ("", "0.0.0.0", "::")


def middleware() -> list[Middleware]:
    """Return what stands before Streamlit, the outermost first."""
    return [Middleware(Hosts, names=hosts()), Middleware(Pictures)]


def hosts() -> list[str]:
    """Return the names by which the dashboard may be called: this machine's, and those of its settings.

    A page from elsewhere whose name is made to lead to this machine (DNS rebinding) goes by another.
    """
    address = st.get_option("server.address") or ""
    names = [*LOOPBACK, *(() if address in _ANY else (address.lower(),))]
    with contextlib.suppress(Exception):  # settings that are gone or broken let nobody in
        names.append(urlsplit(st.secrets["auth"]["redirect_uri"]).hostname or "")
    return [f"[{name}]" if ":" in name else name for name in dict.fromkeys(names) if name]


class Hosts:
    """Refuse a request, and a socket, that calls this server by a name that is not its own."""

    def __init__(self, app: ASGIApp, names: list[str]) -> None:
        self.app = app
        self._checked = TrustedHostMiddleware(app, allowed_hosts=names, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif len(Headers(scope=scope).getlist("host")) != 1:  # with two, each reader might believe another
            await _refuse(scope, receive, send, 400, "the request names no host, or several")
        else:
            await self._checked(scope, receive, send)


class Pictures:
    """Give pictures and downloads to nobody but members who have signed in, where people sign in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "http" and _PICTURES in scope["path"]
        if guarded and not await run_in_threadpool(may_look, Request(scope).cookies):
            await _refuse(scope, receive, send, 403, "sign in to see this")
        else:
            await self.app(scope, receive, send)


def may_look(cookies: dict[str, str]) -> bool:
    """Tell whether who sends these cookies may have pictures: everybody where nobody signs in, else members alone."""
    if not sign_in.required():
        return True
    try:
        if not st.secrets.load_if_toml_exists():
            return False
        secret = st.secrets["auth"]["cookie_secret"]
        signed = get_cookie_with_chunks(
            lambda name: decode_signed_value(secret, name, cookies.get(name, "")), USER_COOKIE_NAME
        )
        name = sign_in.user(json.loads(signed or b"{}"))
        return bool(_desk(desk.database()).sign_in(name).reader.role)
    except (ValueError, KeyError, AttributeError):  # no settings, no member, a cookie of somebody else's making
        return False


@functools.lru_cache(maxsize=2)
def _desk(url: str) -> Desk:
    return open_desk(url)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose(1008)(scope, receive, send)
    else:
        await PlainTextResponse(words, status_code=status)(scope, receive, send)
