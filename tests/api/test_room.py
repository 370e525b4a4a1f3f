"""A large photo does not keep small ones out, nor they it; nothing takes more than there is."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from anogan.api.room import Room


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def holding(room: Room, pixels: int, inside: list[int], leave: asyncio.Event) -> "asyncio.Task[None]":
    async def hold() -> None:
        async with room.hold(pixels):
            inside.append(pixels)
            await leave.wait()
        inside.remove(pixels)

    return asyncio.create_task(hold())


def test_small_ones_pass_a_photo_that_fills_the_room() -> None:
    async def work() -> None:
        room = Room(1600)
        async with room.hold(1600), AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(room.hold(100))

    run(work())


def test_a_large_one_waits_and_so_do_small_ones_beyond_their_place() -> None:
    async def work() -> None:
        room, inside, leave = Room(1600), list[int](), asyncio.Event()
        tasks = [holding(room, pixels, inside, leave) for pixels in (1600, 101, *[100] * 5)]
        await settle()
        assert sorted(inside) == [100] * 4 + [1600]  # the room, and a quarter of it
        leave.set()
        await asyncio.gather(*tasks)
        assert inside == []
        async with room.hold(1600):  # all is given back
            pass

    run(work())


def test_small_ones_use_the_whole_room_and_do_not_keep_a_large_one_out() -> None:
    async def work() -> None:
        room, inside, leave, never = Room(1600), list[int](), asyncio.Event(), asyncio.Event()
        first = [holding(room, 100, inside, leave) for _ in range(16)]
        await settle()
        assert len(inside) == 16
        large = holding(room, 1600, inside, never)
        await settle()
        later = [holding(room, 99, inside, never) for _ in range(8)]  # come while it waits: only beside it
        await settle()
        assert inside.count(99) == 4
        leave.set()
        await asyncio.gather(*first)
        await settle()
        assert inside.count(1600) == 1 and inside.count(99) == 4
        never.set()
        await asyncio.gather(large, *later)

    run(work())


def test_who_gives_up_waiting_leaves_room() -> None:
    async def work() -> None:
        room = Room(1600)
        async with room.hold(1600):
            waiting = asyncio.create_task(room.hold(800).__aenter__())
            await settle()
            waiting.cancel()
            await settle()
        async with room.hold(1600), room.hold(100):
            pass

    run(work())
