"""Requests at work are bounded, and whether the server lives is answered all the same."""

import asyncio
from typing import Any

from anogan.api.guard import Guard
from anogan.api.metrics import Metrics


def test_more_requests_than_can_be_worked_on() -> None:
    async def work() -> None:
        leave = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] != "/healthz":
                await leave.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        guard = Guard(app, ["here"], 1000, Metrics(), most_requests=2)

        async def ask(path: str) -> int:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"here")]}
            await guard(scope, None, send)  # type: ignore[arg-type]
            if sent[0]["status"] == 503:
                assert (b"retry-after", b"1") in sent[0]["headers"]
            return int(sent[0]["status"])

        at_work = [asyncio.create_task(ask("/a")) for _ in range(2)]
        await asyncio.sleep(0)
        assert [await ask("/b"), await ask("/healthz")] == [503, 200]
        leave.set()
        assert await asyncio.gather(*at_work) == [200, 200]
        assert await ask("/b") == 200

    asyncio.run(asyncio.wait_for(work(), 20))
