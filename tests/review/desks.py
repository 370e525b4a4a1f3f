"""Made-up cases, a team, and a storm of readers whose program is killed on the way; the benchmark uses it too."""

from __future__ import annotations

import collections
import subprocess
import sys
import threading
import time
from pathlib import Path

from anogan.review import Conflict, Desk, NewCase, Query, open_desk

TEAM = {"ana": "reader", "ben": "reader", "eva": "second reader", "ida": "admin", "uwe": "auditor"}


def new(number: int, p_value: float | None = 0.5, subject: str = "", folder: str = "", priority: int = 0) -> NewCase:
    """Return a made-up case."""
    return NewCase(
        key=f"key-{number}",
        kind="image",
        subject=subject or f"subject-{number}",
        title=f"image {number}",
        detector="brain 0123456789abcdef",
        status="not scored" if p_value is None else "scored",
        reason="no face" if p_value is None else "",
        score=None if p_value is None else 1 - p_value,
        p_value=p_value,
        flagged=None if p_value is None else p_value <= 0.05,
        folder=folder,
        priority=priority,
        threshold="t1",
    )


def work(url: str, users: int, said: Path) -> None:
    """Decide all there is, as so many users at once; each acknowledged decision becomes a line of `said`."""
    desk = open_desk(url)
    failed: list[BaseException] = []
    with said.open("a", buffering=1) as file:

        def read(user: str) -> None:
            mine = desk.sign_in(user)
            try:
                while True:
                    case = mine.take()
                    if case is None:
                        if mine.counts(Query(state="open")) == {}:
                            return
                        time.sleep(0.05)  # the last ones are with others
                        continue
                    try:
                        mine.decide(case.id, case.version, "dismiss", "artifact")
                        file.write(f"{case.id} {user}\n")
                    except Conflict:
                        continue
            except BaseException as error:
                failed.append(error)
                raise

        threads = [threading.Thread(target=read, args=(f"user{number}",)) for number in range(users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise SystemExit(1)


def storm(url: str, folder: Path, cases: int, users: int, kills: int = 2, seconds: float = 1800) -> float:
    """Let users decide all cases, kill their program on the way, check what came of it, and return the seconds."""
    desk = open_desk(url)
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for number in range(users):
        admin.set_role(f"user{number}", "reader")
    admin.set_role("uwe", "auditor")
    desk.add_many([new(number, p_value=number / cases) for number in range(cases)])
    said = folder / "said"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from pathlib import Path; from desks import work; work(sys.argv[1], {users}, Path(sys.argv[2]))"
    )

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", code, url, str(said)])

    began = time.monotonic()
    program = start()
    try:
        for number in range(kills):
            while admin.counts().get("decided", 0) < cases * (number + 1) / (kills + 1):
                assert program.poll() is None, "the program ended too early"
                assert time.monotonic() - began < seconds, "it takes too long"
                time.sleep(0.02)
            program.kill()
            program.wait()
            program = start()
        assert program.wait(seconds) == 0
    finally:
        program.kill()
        program.wait()
    took = time.monotonic() - began
    check(desk, cases, said)
    desk.close()
    return took


def check(desk: Desk, cases: int, said: Path) -> None:
    """Every case is decided once, what was acknowledged is there, and the log holds."""
    records = list(desk.sign_in("uwe").records())
    assert len(records) == cases
    decided = {case.id: [decision.reader for decision in decisions] for case, decisions in records}
    assert collections.Counter(map(len, decided.values())) == {1: cases}
    acknowledged = [line.split() for line in said.read_text().splitlines()]
    assert len({case for case, _ in acknowledged}) == len(acknowledged) <= cases
    assert all(decided[int(case)] == [user] for case, user in acknowledged)
    assert desk.sign_in("uwe").verify().faults == ()
