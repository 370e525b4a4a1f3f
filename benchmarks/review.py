"""The review desk with 100 000 cases, on SQLite and PostgreSQL: pages, decisions of 20 readers at once, first paint.

    python benchmarks/review.py                                # all of it
    python benchmarks/review.py --cases 2000 --decisions 100   # whether it works

Three parts on each database. What the data layer takes for a page of the queue, all through the list, and for the
figures of the page on the desk's work. 20 readers at once, whose program is killed (SIGKILL) twice: it fails if a
decision is lost or double or the log does not hold. The dashboard's own process and chromium: how long a browser with
an empty cache waits until the queue, and a case with its picture, can be seen.

Writes results/review.md and .json. Needs Debian's postgresql, whose server is one of our own on a Unix socket, and
chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "review"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dashboard"))
from chromium import CHROMIUM, FLAGS  # these lie there
from conftest import write_run
from desks import new, storm
from playwright.sync_api import Browser, sync_playwright
from postgres import MISSING, Postgres

from anogan.cli.console import free_port
from anogan.review import Desk, Query, cases_of, open_desk
from anogan.storage.documents import json_text

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
REPEATS = 30
PAGE_LIMIT, PAINT_LIMIT = 1000, 2000  # ms, of medians
Times = dict[str, list[float]]  # ms of each repetition, by step


def timed(step: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Return how long a step takes, in ms, each time."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return times


def middle(desk: Desk, query: Query, count: int) -> str:
    """Return the place in the middle of a list."""
    after, size = None, min(1000, count // 2)
    for _ in range(count // 2 // size):
        after = desk.page(query, after, size=size).after
    assert after is not None
    return after


def fill(desk: Desk, count: int) -> float:
    """Add made-up cases and return the seconds that it took."""
    began = time.perf_counter()
    for start in range(0, count, 10_000):
        numbers = range(start, min(start + 10_000, count))
        desk.add_many([new(i, None if i % 50 == 0 else (i * 7919 % count) / count, priority=i % 5) for i in numbers])
    return time.perf_counter() - began


def listing(desk: Desk, count: int) -> Times:
    """Time what the pages of a filled desk ask of it."""
    times: Times = {}
    for order in ("p-value", "age", "priority"):
        query = Query(order=order)  # type: ignore[arg-type]
        place = middle(desk, query, count)
        times[f"first page by {order}"] = timed(lambda query=query: desk.page(query))
        times[f"page in the middle by {order}"] = timed(lambda query=query, place=place: desk.page(query, place))
    now = datetime.datetime.now(datetime.UTC)
    for words, query in {
        "state and flag": Query(state="open", flagged=True),
        "not scored": Query(status="not scored"),
        "range of p-values": Query(p_min=0.4, p_max=0.41),
        "search": Query(search=f"subject-{count // 3}"),
        "reader": Query(reader="ana"),
        "nothing found": Query(since=now, kind="series"),
    }.items():
        times[f"page filtered by {words}"] = timed(lambda query=query: desk.page(query))
    times["counts by state"] = timed(desk.counts)
    times["one case, logged"] = timed(lambda: desk.case(count // 2))

    def read() -> None:
        case = desk.take()
        assert case is not None
        desk.decide(case.id, case.version, "dismiss", "artifact")

    times["take and decide"] = timed(read)
    times["statistics of the desk's work"] = timed(desk.statistics, 5)
    return times


def verify(desk: Desk) -> tuple[int, float]:
    """Verify the log and return its rows and the seconds that it took."""
    began = time.perf_counter()
    found = desk.verify()
    if found.faults:
        raise SystemExit(str(found.faults))
    return found.head.count, time.perf_counter() - began


@contextlib.contextmanager
def dashboard(url: str, run: Path) -> Iterator[str]:
    """Run the dashboard with a desk in a process of its own, and yield its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ANOGAN_DESK": url, "ANOGAN_RUN": str(run)}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with (run.parent / "dashboard.log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                    break
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the dashboard did not start:\n{(run.parent / 'dashboard.log').read_text()}")
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def paint(browser: Browser, address: str, selector: str) -> tuple[float, float]:
    """Open an address with an empty cache; return the ms until something is painted, and until what counts is seen."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(selector).first.wait_for(timeout=60_000)
    if selector.startswith("img"):
        image = page.locator(selector).first.element_handle()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image)
    seen = 1000 * (time.perf_counter() - began)
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.context.close()
    return float(first), seen


def paints(url: str, run: Path, case: int, repeats: int) -> Times:
    """Time the first sight of the queue and of a case, the server being warm: its own first page is not counted."""
    steps = {
        "queue": ("desk", ".st-key-row-0 button"),
        "case": (f"desk-case?case={case}", 'img[alt^="Heat map over the image"]'),
    }
    times: Times = {}
    with dashboard(url, run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, (place, selector) in steps.items():
            paint(browser, f"{address}/{place}", selector)
            found = [paint(browser, f"{address}/{place}", selector) for _ in range(repeats)]
            times[f"{name}: something is painted"] = [first for first, _ in found]
            times[f"{name}: it can be seen"] = [seen for _, seen in found]
        browser.close()
    return times


def measure(url: str, storm_url: str, folder: Path, decisions: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one database."""
    run = folder / "run"
    write_run(run, size=512)
    desk = open_desk(url)
    adding = fill(desk, options.cases)
    pictured = [case for case in cases_of(run / "results") if case.status == "scored"]
    case = desk.add_many(pictured)[-1]
    times = listing(desk, options.cases)
    rows, verifying = verify(desk)
    painted = paints(url, run, case, options.paints)
    desk.close()
    seconds = storm(storm_url, folder, decisions, options.users, seconds=1800)
    return {
        "adding the cases, seconds": round(adding, 1),
        "log": {"rows": rows, "verifying, seconds": round(verifying, 1)},
        "pages": summary(times),
        "paints": summary(painted),
        "storm": {"cases": decisions, "readers": options.users, "kills": 2, "seconds": round(seconds, 1)},
    }


def summary(times: Times) -> dict[str, dict[str, float]]:
    """Return median and longest of each step, in ms."""
    return {
        name: {"median": round(statistics.median(values), 1), "longest": round(max(values), 1)}
        for name, values in times.items()
    }


def table(part: str, found: dict[str, dict[str, Any]], limit: float) -> str:
    """Return a table of medians, (longest), with a column for each database."""
    names = list(found)
    lines = [["median (longest), ms", *names], ["---"] * (len(names) + 1)]
    for step in found[names[0]][part]:
        cells = [found[name][part][step] for name in names]
        mark = ["" if cell["median"] < limit else " MISSED" for cell in cells]
        lines.append([step, *(f"{c['median']:.0f} ({c['longest']:.0f}){m}" for c, m in zip(cells, mark, strict=True))])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def report(measured: dict[str, Any]) -> str:
    """Return results/review.md."""
    found = measured["databases"]
    storms = "".join(
        f"- {name}: {one['storm']['cases']} cases by {one['storm']['readers']} readers at once, killed twice: "
        f"{one['storm']['seconds']:.0f} s; every decision once, the log holds.\n"
        for name, one in found.items()
    )
    rest = "".join(
        f"- {name}: {measured['cases']} cases added in {one['adding the cases, seconds']:.0f} s; {one['log']['rows']} "
        f"rows of the log verified with all cases in {one['log']['verifying, seconds']:.1f} s.\n"
        for name, one in found.items()
    )
    return f"""# The review desk with {measured["cases"]} cases

{measured["cores"]} cores, load {measured["load before"]} before and {measured["load after"]} after. Made by
`python benchmarks/review.py`.

## What the data layer takes (limit of a page: {PAGE_LIMIT} ms)

Of {REPEATS} repetitions.

{table("pages", found, PAGE_LIMIT)}
{rest}
## First paint in chromium (limit: {PAINT_LIMIT} ms)

From the call of the address to the first row of the queue, or to the heat map of a case (512 x 512 pixels), with an
empty cache each time, on the dashboard's own process after its first page; of {measured["paints"]} repetitions.

{table("paints", found, PAINT_LIMIT)}
## Readers at once

{storms}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=2000, help="on PostgreSQL; a tenth of it on SQLite")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--paints", type=int, default=9, help="repetitions in the browser")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of review.md and review.json")
    options = parser.parse_args()
    if MISSING or CHROMIUM is None:
        raise SystemExit(MISSING or "no chromium: install Debian's chromium")
    before, databases = os.getloadavg()[0], {}
    with tempfile.TemporaryDirectory() as name:
        # One writer at a time, so a tenth of it says as much.
        decisions = max(options.users, options.decisions // 10)
        folder = Path(name)
        databases["SQLite"] = measure(f"{name}/list.db", f"{name}/storm.db", folder, decisions, options)
    server = Postgres(durable=True)
    try:
        with tempfile.TemporaryDirectory() as name:
            places = server.url(), server.url()
            databases["PostgreSQL"] = measure(*places, Path(name), options.decisions, options)
    finally:
        server.stop()
    measured = {
        "cases": options.cases,
        "paints": options.paints,
        "cores": os.cpu_count(),
        "load before": round(before, 1),
        "load after": round(os.getloadavg()[0], 1),
        "databases": databases,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "review.json").write_text(json_text(measured, indent=1) + "\n", encoding="utf-8")
    text = report(measured)
    (options.out / "review.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
