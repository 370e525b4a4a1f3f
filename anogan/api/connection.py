"""A connection that does not wait for a slow client."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
READING_SECONDS = 30.0  # in which a client must take what was sent
MOST_HEAD = 16_384  # bytes
MOST_WAITING = 512  # connections without a request at work; a process may have 1024 files open
MOST_WAITING_EACH = 64  # of one address
_TURNS = itertools.count()


class Connection(H11Protocol):
    """HTTP/1.1 that ends where a request's head does not come in time, or where its answer is not taken.

    Without it a client may keep a connection open by never ending what it has begun, or by never reading. The time for
    a body is bounded where it is read; what comes of a body after its answer has no more time than a head. The length
    of a head is bounded by uvicorn's `h11_max_incomplete_event_size`.

    Connections that wait for a request are bounded by their number: the one that has waited the longest goes for the
    next, of the same address where this one has too many. Those with a request at work are not among them, see
    `anogan.api.guard`.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._deadline: asyncio.TimerHandle | None = None
        self._turn = 0  # when it began to wait, among all: a clock may show many the same time
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._make_room()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has come, and wait for more of it for a while where it is no whole request."""
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.IDLE or (state is h11.SEND_BODY and self.cycle.response_complete):
            self._wait()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        self._let_read()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stop_letting_read()

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the rest of the answer to be taken."""
        super().on_response_complete()
        self._let_read()
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._stop_letting_read()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """End what has waited the longest, where too many do."""
        waiting = [other for other in self.connections if isinstance(other, Connection) and other._deadline is not None]
        address = self.client[0] if self.client else ""
        same = [other for other in waiting if other.client and other.client[0] == address]
        for group, most in ((same, MOST_WAITING_EACH), (waiting, MOST_WAITING)):
            if len(group) >= most:
                longest = min(group, key=lambda one: one._turn)
                longest._stop_waiting()  # it is lost a moment later, and several may come before that
                longest.transport.abort()
                return

    def _wait(self) -> None:
        if self._deadline is None:  # more bytes do not buy more time
            self._turn = next(_TURNS)
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _too_late(self) -> None:
        if not self.transport.get_write_buffer_size():  # else it still reads, and has its time for that
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _let_read(self) -> None:
        """Give the client time to take what is in the buffer."""
        self._stop_letting_read()
        self._unread = self.loop.call_later(READING_SECONDS, self._not_read)

    def _not_read(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _stop_letting_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
