"""A connection that does not wait for a slow client."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
MOST_HEAD = 16_384  # bytes


class Connection(H11Protocol):
    """HTTP/1.1 that ends where a request's head does not come in time.

    Without it a client may keep a connection open by never ending what it has begun. The time for a body is bounded
    where it is read; what comes of a body after its answer has no more time than a head. The length of a head is
    bounded by uvicorn's `h11_max_incomplete_event_size`.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has come, and wait for more of it for a while where it is no whole request."""
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.IDLE or (state is h11.SEND_BODY and self.cycle.response_complete):
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:  # more bytes do not buy more time
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
