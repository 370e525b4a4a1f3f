"""Requests that come at about the same time share a batch of the detector.

A network judges eight images in much less than eight times the time of one. While others are on their way, a request
waits up to 20 ms for them; one that is alone waits for nobody.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType

from anogan.scan import Result, Scan

Judge = Callable[[Sequence[Scan]], list[Result]]


class Full(Exception):
    """All places are taken."""


class Batcher:
    """One thread that judges what has come, and a bounded number of places for requests.

    Parameters
    ----------
    judge
        From scans to their results, in the same order.
    most
        Images in a batch; 1: no batching.
    wait
        Seconds that the first of a batch waits for others that hold a place.
    places
        How many requests may be inside at once.
    seen
        Told of each batch's size.
    """

    def __init__(
        self,
        judge: Judge,
        most: int = 16,
        wait: float = 0.02,
        places: int = 64,
        seen: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._judge, self._most, self._wait, self._places, self._seen = judge, most, wait, places, seen
        self._waiting: queue.Queue[tuple[Scan, Future[Result]] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._taken = self._coming = 0
        self._thread = threading.Thread(target=self._work, name="judging", daemon=True)

    @property
    def taken(self) -> int:
        """Places taken now."""
        return self._taken

    @property
    def alive(self) -> bool:
        """Whether somebody judges."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start judging."""
        self._thread.start()

    def close(self) -> None:
        """Judge what has come, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def place(self) -> Place:
        """Take a place, to be used in a `with`.

        Raises
        ------
        Full
            There is none.
        """
        with self._lock:
            if self._taken >= self._places:
                raise Full
            self._taken += 1
            self._coming += 1
        return Place(self)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, until = [first], time.monotonic() + self._wait
            while len(batch) < self._most:
                # Who has handed in an image is no longer coming; who is coming, is waited for.
                left = until - time.monotonic() if self._coming > 0 else 0.0
                try:
                    entry = self._waiting.get(timeout=left) if left > 0 else self._waiting.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    self._waiting.put(None)
                    break
                batch.append(entry)
            self._seen(len(batch))
            self._answer(batch)

    def _answer(self, batch: list[tuple[Scan, Future[Result]]]) -> None:
        try:
            results = self._judge([scan for scan, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            for entry in batch if len(batch) > 1 else ():  # what one of them fails at is not the others' fault
                self._answer([entry])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)


class Place:
    """A place of a `Batcher`: hand in an image once; leaving the `with` gives the place back."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher, self._coming = batcher, True

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrive()
        with self._batcher._lock:
            self._batcher._taken -= 1

    def judge(self, scan: Scan) -> Future[Result]:
        """Hand in an image; the future holds its result."""
        future: Future[Result] = Future()
        self._batcher._waiting.put((scan, future))
        self._arrive()
        return future

    def _arrive(self) -> None:
        if self._coming:
            self._coming = False
            with self._batcher._lock:
                self._batcher._coming -= 1
