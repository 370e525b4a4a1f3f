"""How much is in memory at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Room:
    """Bounds the pixels that are in memory at once; the next photo, of at most `most`, waits until it has room."""

    def __init__(self, most: int) -> None:
        self.most, self._held, self._changed = most, 0, asyncio.Condition()

    @contextlib.asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Wait for room for so many pixels, and keep it meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._held + pixels <= self.most)
            self._held += pixels
        try:
            yield
        finally:
            async with self._changed:
                self._held -= pixels
                self._changed.notify_all()
