"""What every request passes through: is it for us, is it too long, how long did it take; and headers for browsers."""

from __future__ import annotations

import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anogan.api.metrics import Metrics
from anogan.api.problems import Problem, answer

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_STRICT = "default-src 'none'; frame-ancestors 'none'"
# The page is swagger-ui, which comes with this server and has its settings inside the page.
_PAGE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)


class Guard:
    """ASGI middleware.

    Parameters
    ----------
    app
        What it stands before.
    hosts
        Names by which this server may be asked (RFC 9110, 7.2); anything else is refused (DNS rebinding).
    most_bytes
        Longest body that is read.
    metrics
        Told of every request.
    most_requests
        How many are worked on at once; more are asked to come again. Whether the server lives is always answered.
    """

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], most_bytes: int, metrics: Metrics, most_requests: int = 1024
    ) -> None:
        self.app, self.hosts, self.most_bytes, self.metrics = app, hosts, most_bytes, metrics
        self.most_requests, self._inside = most_requests, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, started, status = Headers(scope=scope), time.monotonic(), 500
        strict = _PAGE if scope["path"].startswith("/docs") else _STRICT

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
                out["Content-Security-Policy"] = strict
                if scope.get("scheme") == "https":
                    out["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        self._inside += 1
        try:
            refusal = self._refusal(headers)
            if refusal is None and self._inside > self.most_requests and scope["path"] != "/healthz":
                refusal = 503, "too many requests at once; send it again in a moment", {"Retry-After": "1"}
            if refusal is not None:
                await answer(*refusal)(scope, receive, respond)
            else:
                await self.app(scope, self._counting(receive), respond)
        finally:
            self._inside -= 1
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if route != "other" else ""  # else anybody could make up new series
            self.metrics.requests.labels(method, route, status).inc()
            self.metrics.seconds.labels(method, route).observe(time.monotonic() - started)

    def _refusal(self, headers: Headers) -> tuple[int, str, dict[str, str]] | None:
        host = headers.get("host", "").lower()
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        if name not in self.hosts:
            return 400, "this server does not go by that name; its owner may add it with --allow-host", {}
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.most_bytes:
            return 413, self._too_long(), {}
        return None

    def _counting(self, receive: Receive) -> Receive:
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most_bytes:
                raise Problem(413, self._too_long(), {"Connection": "close"})
            return message

        return counted

    def _too_long(self) -> str:
        return f"the request is longer than {self.most_bytes / 1e6:g} MB; send a smaller photo"
