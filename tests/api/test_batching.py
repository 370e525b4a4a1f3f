"""Requests share batches, wait for nobody who is not coming, and fail alone."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from anogan.api.batching import Batcher, Full
from anogan.scan import Result, Scan

SCANS = [Scan(np.full((2, 2), index / 10, np.float32), str(index)) for index in range(8)]


def answers(scans: Sequence[Scan]) -> list[Result]:
    return [Result(scan.source, "scored", score=float(scan.pixels.mean())) for scan in scans]


def test_those_who_come_while_one_is_judged_share_a_batch() -> None:
    sizes: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def judge(scans: Sequence[Scan]) -> list[Result]:
        started.set()
        assert go_on.wait(600)
        return answers(scans)

    batcher = Batcher(judge, most=4, wait=0, seen=sizes.append)
    batcher.start()
    futures = [batcher.place().judge(SCANS[0])]
    assert started.wait(600)
    futures += [batcher.place().judge(scan) for scan in SCANS[1:7]]
    go_on.set()
    scores = [future.result(20).score for future in futures]
    batcher.close()
    assert scores == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])  # everybody gets his own
    assert sizes == [1, 4, 2]


def test_who_holds_a_place_is_waited_for_and_who_is_alone_is_not() -> None:
    sizes: list[int] = []
    batcher = Batcher(answers, most=2, wait=60, seen=sizes.append)
    batcher.start()
    with batcher.place() as place:
        assert place.judge(SCANS[1]).result(20).score == pytest.approx(0.1)  # not after 60 s
    first, second = batcher.place(), batcher.place()
    waiting = first.judge(SCANS[2])
    assert second.judge(SCANS[3]).result(20).score == pytest.approx(0.3)
    assert waiting.result(20).score == pytest.approx(0.2)
    batcher.close()
    assert sizes == [1, 2]


def test_places_are_bounded_and_given_back() -> None:
    batcher = Batcher(answers, places=2)
    first = batcher.place()
    with batcher.place():
        assert batcher.taken == 2
        with pytest.raises(Full):
            batcher.place()
    with batcher.place():
        pass
    first.__exit__(None, None, None)
    assert batcher.taken == 0
    assert batcher._coming == 0


def test_what_one_fails_at_is_not_the_others_fault() -> None:
    def judge(scans: Sequence[Scan]) -> list[Result]:
        if any(scan.source == "1" for scan in scans):
            raise RuntimeError("broken")
        return answers(scans)

    batcher = Batcher(judge, wait=0)
    futures = [batcher.place().judge(scan) for scan in SCANS[:3]]
    batcher.start()
    assert [futures[index].result(20).score for index in (0, 2)] == pytest.approx([0, 0.2])
    with pytest.raises(RuntimeError, match="broken"):
        futures[1].result(20)
    batcher.close()
    assert not batcher.alive
