"""Filters, order, search and keyset paging."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from desks import new

from anogan.review import Desk, Query

P_VALUES = [0.5, None, 0.02, 0.5, 0.9, 0.02, 0.5]


@pytest.fixture
def filled(desk: Desk, clock: Any) -> Desk:
    for number, p_value in enumerate(P_VALUES, start=1):
        desk.add(new(number, p_value, priority=number % 2))
        clock.now += 60
    return desk


def ids(desk: Desk, **filters: Any) -> list[int]:
    return [case.id for case in desk.page(Query(**filters)).cases]


def test_orders(filled: Desk) -> None:
    assert ids(filled) == [2, 3, 6, 1, 4, 7, 5], "what nobody knows anything about comes first"
    assert ids(filled, order="age") == [1, 2, 3, 4, 5, 6, 7]
    assert ids(filled, order="priority") == [1, 3, 5, 7, 2, 4, 6]


@pytest.mark.parametrize("order", ["p-value", "age", "priority"])
def test_pages_join_without_gap_or_repeat(filled: Desk, order: Any) -> None:
    for size in (1, 2, 3, 7, 8):
        query, after, found = Query(order=order), None, []
        while True:
            page = filled.page(query, after, size)
            found += [case.id for case in page.cases]
            if (after := page.after) is None:
                break
        assert found == ids(filled, order=order), size


def test_what_comes_in_between_does_not_shift_the_next_page(filled: Desk) -> None:
    first = filled.page(size=3)
    filled.add(new(8, 0.0001))
    assert [case.id for case in filled.page(after=first.after, size=2).cases] == [1, 4]


def test_filters(filled: Desk, clock: Any) -> None:
    assert ids(filled, flagged=True) == [3, 6]
    assert ids(filled, flagged=False) == [1, 4, 7, 5]
    assert ids(filled, status="not scored") == [2]
    assert ids(filled, p_min=0.02, p_max=0.5) == [3, 6, 1, 4, 7]
    assert ids(filled, kind="series") == []
    assert ids(filled, number=4) == [4]
    assert ids(filled, number=4, flagged=True) == []
    assert ids(filled, detector="brain 0123456789abcdef", state="open", order="age") == [1, 2, 3, 4, 5, 6, 7]
    start = datetime.datetime.fromtimestamp(clock.now - 7 * 60, datetime.UTC)
    minute = datetime.timedelta(minutes=1)
    assert ids(filled, since=start + minute, until=start + 3 * minute) == [2, 3]
    assert filled.counts(Query(p_max=0.5)) == {"open": 5}


def test_search_by_the_beginning_of_a_pseudonym(filled: Desk) -> None:
    filled.add(dataclasses.replace(new(70), subject="ab%_c"))
    assert ids(filled, search="subject-7") == [7]
    assert ids(filled, search="key-7") == [7, 8]
    assert ids(filled, search="ab%") == [8]
    assert ids(filled, search="ab_") == []
    assert ids(filled, search="ubject") == []


def test_a_readers_cases(team: dict[str, Desk], clock: Any) -> None:
    ana = team["ana"]
    ana.add_many([new(1), new(2), new(3)])
    ana.lease(1)
    ana.lease(2)
    ana.decide(2, 1, "dismiss", "artifact")
    assert ids(ana, reader="ana") == [1, 2]
    clock.now += 901
    assert ids(ana, reader="ana") == [2]
    assert ids(ana, reader="ben") == []


def test_history_of_a_subject(desk: Desk) -> None:
    desk.add_many(
        [new(1, subject="a"), new(2, subject="b"), new(3, subject="a"), dataclasses.replace(new(4), subject="")]
    )
    assert [case.id for case in desk.history("a")] == [1, 3]
    assert desk.history("") == ()


def test_refusals(desk: Desk) -> None:
    with pytest.raises(ValueError, match="size: expected 1 to 1000 cases, got 0"):
        desk.page(size=0)
    with pytest.raises(ValueError, match="after: is no place in a list"):
        desk.page(after="x")
    with pytest.raises(ValueError, match="order: expected one of p-value, age, priority, got 'name'"):
        Query(order="name")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="since: .* has no time zone"):
        Query(since=datetime.datetime(2026, 1, 1))
