"""How much is in memory at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_SMALL = 16  # a photo of that part of the room, or less, is small
_BESIDE = 4  # that part of the room is there once more, for small ones


class Room:
    """Bounds the pixels that are in memory at once, to 5/4 of `most`, which is the largest photo.

    Large photos wait for their turn and then for room. Small ones take what is left, and have a place beside, so that
    one photo that fills the room does not keep them out; where a large one waits they have no other, so that they do
    not keep it out, either.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = {"room": most, "beside": most // _BESIDE}
        self._turn, self._changed = asyncio.Lock(), asyncio.Condition()

    @contextlib.asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Wait for room for so many pixels, and keep it meanwhile."""
        if pixels * _SMALL <= self.most:
            place = await self._taken(pixels, small=True)
        else:
            async with self._turn:
                place = await self._taken(pixels, small=False)
        try:
            yield
        finally:
            async with self._changed:
                self._free[place] += pixels
                self._changed.notify_all()

    async def _taken(self, pixels: int, small: bool) -> str:
        """Take room where there is some, and return which."""

        def fitting() -> str:
            places = ("beside",) if small and self._turn.locked() else ("room", "beside") if small else ("room",)
            return next((place for place in places if pixels <= self._free[place]), "")

        async with self._changed:
            place: str = await self._changed.wait_for(fitting)
            self._free[place] -= pixels
            return place
