"""The review desk with 100 000 cases, and 20 readers at once whose program is killed twice, on SQLite and PostgreSQL.

    python benchmarks/review.py               # both
    python benchmarks/review.py --cases 10000 --decisions 200

Needs Debian's postgresql for the second; the server is one of our own, on a Unix socket. It prints medians over pages
all through the list, and fails if a decision is lost or double or the log does not hold.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))
from desks import new, storm  # it lies there
from postgres import MISSING, Postgres

from anogan.review import Desk, Query, open_desk

REPEATS = 30


def median(step: Callable[[], Any]) -> str:
    """Return the median and the longest time of a step in ms."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return f"{statistics.median(times):.0f} ms (longest {max(times):.0f})"


def middle(desk: Desk, query: Query, count: int) -> str:
    """Return the place in the middle of a list."""
    after = None
    for _ in range(count // 2000):
        after = desk.page(query, after, size=1000).after
    assert after is not None
    return after


def listing(url: str, count: int) -> None:
    """Fill a desk and time what a page of it asks for."""
    desk = open_desk(url)
    began = time.perf_counter()
    for start in range(0, count, 10_000):
        numbers = range(start, min(start + 10_000, count))
        desk.add_many([new(i, None if i % 50 == 0 else (i * 7919 % count) / count, priority=i % 5) for i in numbers])
    print(f"  {count} cases added in {time.perf_counter() - began:.0f} s")
    for order in ("p-value", "age", "priority"):
        query = Query(order=order)  # type: ignore[arg-type]
        place = middle(desk, query, count)
        print(f"  first page by {order}: {median(lambda query=query: desk.page(query))}")
        print(f"  page in the middle: {median(lambda query=query, place=place: desk.page(query, place))}")
    now = datetime.datetime.now(datetime.UTC)
    for words, query in {
        "state and flag": Query(state="open", flagged=True),
        "not scored": Query(status="not scored"),
        "range of p-values": Query(p_min=0.4, p_max=0.41),
        "search": Query(search=f"subject-{count // 3}"),
        "reader": Query(reader="ana"),
        "nothing found": Query(since=now, kind="series"),
    }.items():
        print(f"  filter by {words}: {median(lambda query=query: desk.page(query))}")
    print(f"  counts by state: {median(desk.counts)}")
    print(f"  one case, logged: {median(lambda: desk.case(count // 2))}")

    def read() -> None:
        case = desk.take()
        assert case is not None
        desk.decide(case.id, case.version, "dismiss", "artifact")

    print(f"  take and decide: {median(read)}")
    began = time.perf_counter()
    found = desk.verify()
    print(f"  {found.head.count} rows of the log and {count} cases verified in {time.perf_counter() - began:.1f} s")
    desk.close()
    if found.faults:
        raise SystemExit(str(found.faults))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=2000)
    parser.add_argument("--users", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print("SQLite")
        listing(f"{name}/list.db", options.cases)
        # One writer at a time, so a tenth of it says as much.
        decisions = options.decisions // 10
        seconds = storm(f"{name}/storm.db", Path(name), decisions, options.users, seconds=1800)
        print(f"  {decisions} cases decided by {options.users}, killed twice: {seconds:.0f} s, none lost or double")
    if MISSING:
        raise SystemExit(MISSING)
    server = Postgres(durable=True)
    try:
        with tempfile.TemporaryDirectory() as name:
            print("PostgreSQL")
            listing(server.url(), options.cases)
            seconds = storm(server.url(), Path(name), options.decisions, options.users, seconds=1800)
            words = f"{options.decisions} cases decided by {options.users}, killed twice"
            print(f"  {words}: {seconds:.0f} s, none lost or double")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
