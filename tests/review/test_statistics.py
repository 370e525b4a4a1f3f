"""The desk's own work in numbers: counted by hand, and over again from the records; who may see what."""

from __future__ import annotations

import collections
import datetime
import itertools
import random
from typing import Any

import numpy as np
import pytest
from desks import new
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import text

from anogan.metrics import wilson
from anogan.review import REASONS, Conflict, Desk, NotAllowed, Policy, Query
from anogan.review import database as place

DAY = datetime.date(2027, 1, 15)  # of the clock of these tests, at 08:00 UTC


def decide(desk: Desk, id: int, verdict: Any) -> Any:
    case = desk.lease(id)
    return desk.decide(id, case.version, verdict, REASONS[verdict][0])


def test_an_empty_desk_has_no_figures(desk: Desk) -> None:
    found = desk.statistics()
    assert (found.states, found.days, found.times) == ({}, (), ())
    for agreement in (found.readers, found.blind, found.detector):
        assert (agreement.cases, agreement.share, agreement.kappa) == (0, None, None)
    assert all(band.rate is None for band in found.bands)
    assert desk.arrivals() == {}


def test_a_day_of_work_by_hand(desk: Desk, clock: Any) -> None:
    p_values = [0.0005, 0.005, 0.03, 0.05, 0.3, 0.9, None, 0.02]
    ids = desk.add_many([new(number, p_value) for number, p_value in enumerate(p_values)])
    verdicts = ["confirm", "confirm", "confirm", "dismiss", "dismiss", "confirm", "dismiss"]  # the last one waits
    for number, (id, verdict) in enumerate(zip(ids, verdicts, strict=False)):
        case = desk.lease(id)
        clock.now += 10 * (number + 1)
        desk.decide(id, case.version, verdict, REASONS[verdict][0])  # type: ignore[arg-type, index]
    clock.now += 86400
    desk.sign(ids[0], 2)
    desk.add(new(100, 0.4))
    found = desk.statistics()
    assert found.states == {"signed": 1, "decided": 6, "open": 2}
    assert found.days == (
        (DAY, {"signed": 1, "decided": 6, "open": 1}, 7, 0),
        (DAY + datetime.timedelta(1), {"open": 1}, 0, 1),
    )
    # Flagged are the four up to 0.05: three confirmed; of the two others one.
    assert found.detector.table == ((3, 1), (1, 1))
    assert found.detector.share == wilson(4, 6)
    assert [band[:5] for band in found.bands] == [
        (0.0, 0.001, 1, 0, 0),
        (0.001, 0.01, 1, 0, 0),
        (0.01, 0.05, 1, 1, 0),
        (0.05, 0.1, 0, 0, 0),
        (0.1, 0.5, 0, 1, 0),
        (0.5, 1.0, 1, 0, 0),
        (None, None, 0, 1, 0),
    ]
    assert found.bands[2].rate == wilson(1, 2)
    # 10, 20, ... 70 s: the 2nd, 4th and 6th of seven.
    assert found.times == (("", 7, 20.0, 40.0, 60.0), ("local", 7, 20.0, 40.0, 60.0))
    since = datetime.datetime.combine(DAY + datetime.timedelta(1), datetime.time(), datetime.UTC)
    assert desk.statistics(Query(since=since)).states == {"open": 1}
    (kind,) = desk.arrivals().values()
    assert kind == (9, datetime.datetime.fromtimestamp(clock.now, datetime.UTC))


def test_two_readers_and_blind_first_by_hand(team: dict[str, Desk], clock: Any) -> None:
    team["ida"].set_policy(Policy(readings=2, blind_first=True))
    ids = team["ida"].add_many([new(number) for number in range(4)])
    ana, ben, eva = team["ana"], team["ben"], team["eva"]
    first = [("dismiss", "confirm"), ("confirm", "confirm"), ("dismiss", "dismiss"), ("confirm", "confirm")]
    second = [("confirm", "confirm"), ("confirm", "dismiss"), ("dismiss", "dismiss")]  # the fourth case waits
    for reader, words in ((ana, first), (ben, second)):
        for id, (blind, seen) in zip(ids, words, strict=False):
            decide(reader, id, blind)
            decide(reader, id, seen)
    found = ana.statistics()
    assert found.states == {"decided": 2, "arbitration": 1, "second reading": 1}
    assert found.readers.table == ((1, 1, 0), (0, 1, 0), (0, 0, 0))  # rows: ana, columns: ben
    # Of the two decided cases: ana changed her mind once.
    assert found.blind.table == ((1, 0, 0), (1, 2, 0), (0, 0, 0))
    decide(eva, ids[1], "dismiss")
    after = ana.statistics()
    assert after.readers.table == found.readers.table
    assert after.blind.cases == found.blind.cases + 2
    # kappa of ((1, 1), (0, 1)): agreed 2/3, by chance 2/3 x 1/3 + 1/3 x 2/3 = 4/9, so (2/9) / (5/9)
    assert after.readers.kappa is not None
    assert after.readers.kappa.value == pytest.approx(0.4)


def test_the_figures_are_those_of_the_records(team: dict[str, Desk], clock: Any) -> None:
    """Whatever readers do, the database counts what one would count over the export."""
    team["ida"].set_policy(Policy(readings=2, blind_first=True))
    chance = random.Random(3)
    ids = team["ida"].add_many([new(number, chance.choice([None, chance.random() ** 2])) for number in range(16)])
    for id, user in itertools.product(ids, ["ana", "ana", "ben", "ben", "eva", "eva"]):
        verdict: Any = chance.choices(["confirm", "dismiss", "unsure"], [(2, 8, 1), (8, 2, 1)][id % 2])[0]
        try:
            case = team[user].lease(id)
            clock.now += chance.randint(1, 3000)
            case = team[user].decide(id, case.version, verdict, REASONS[verdict][0])
            if case.state == "decided" and chance.random() < 0.3:
                team[user].reopen(id, case.version)
        except (ValueError, Conflict):
            team[user].release(id)
        if chance.random() < 0.1:
            clock.now += 1000  # a lease runs out
            team[user].release(id)
    records = list(team["uwe"].records())
    found = team["uwe"].statistics()
    assert found.states == dict(collections.Counter(case.state for case, _ in records))
    done = [(case, made) for case, made in records if case.state in ("decided", "signed")]
    assert len(done) > 3
    seen = done + [(case, made) for case, made in records if case.state == "arbitration"]
    pairs: list[tuple[str, str]] = []
    for _, made in seen:
        last = {one.stage: one.verdict for one in made if not one.blind}
        if {"first", "second"} <= last.keys():
            pairs.append((last["first"], last["second"]))
    assert sum(map(sum, found.readers.table)) == len(pairs) > 3
    assert found.readers.kappa is not None
    assert found.readers.kappa.value == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    minds = []
    for _, made in done:
        final = {(one.stage, one.reader): one.verdict for one in made if not one.blind}
        blind = [
            one for one in made if one.blind and (one.stage, one.reader) in final
        ]  # or given back before the reading
        minds += [(one.verdict, final[one.stage, one.reader]) for one in blind]
    assert found.blind.cases == len(minds) > 3
    assert found.blind.share is not None
    assert found.blind.share.value == pytest.approx(np.mean([before == after for before, after in minds]))
    flags = [(bool(case.flagged), case.verdict == "confirm") for case, _ in done if case.verdict != "unsure"
             and case.flagged is not None]  # fmt: skip
    assert found.detector.table == tuple(
        tuple(flags.count((flagged, confirmed)) for confirmed in (True, False)) for flagged in (True, False)
    )
    assert sum(band.confirmed + band.dismissed + band.unsure for band in found.bands) == len(done)
    seconds: dict[str, list[float]] = {"": []}
    for _, made in records:
        for one in made:
            if not one.blind:
                seconds.setdefault(one.reader, []).append(one.seconds)
                seconds[""].append(one.seconds)
    expected = [
        (reader, len(times), *np.quantile(times, [0.25, 0.5, 0.75], method="inverted_cdf"))
        for reader, times in sorted(seconds.items())
    ]
    assert list(found.times) == expected
    assert sum(day.readings for day in found.days) == len(seconds[""])
    assert sum(sum(day.came.values()) for day in found.days) == len(records)


def test_readers_see_their_own_times_admins_and_auditors_all(team: dict[str, Desk]) -> None:
    ids = team["ida"].add_many([new(1), new(2)])
    decide(team["ana"], ids[0], "dismiss")
    decide(team["ben"], ids[1], "dismiss")
    shown = {user: [times.reader for times in desk.statistics().times] for user, desk in team.items()}
    assert shown == {"ana": ["ana"], "ben": ["ben"], "eva": [], "ida": ["", "ana", "ben"], "uwe": ["", "ana", "ben"]}
    stranger = team["ana"].sign_in("zoe")
    for ask in (stranger.statistics, stranger.arrivals):
        with pytest.raises(NotAllowed, match="zoe: is no member of this desk and may not see cases"):
            ask()


def test_times_below_zero_are_counted_apart(team: dict[str, Desk], database: str, clock: Any) -> None:
    """Earlier versions kept them, where the clock had been set back."""
    ids = team["ida"].add_many([new(number) for number in range(4)])
    for id, reader, seconds in zip(ids, ("ana", "ana", "ana", "ben"), (10, 20, 0, 5), strict=True):
        case = team[reader].lease(id)
        clock.now += seconds
        team[reader].decide(id, case.version, "dismiss", "artifact")
    engine = place.connect(database)
    with engine.execution_options(write=True).begin() as connection:
        connection.execute(
            text("UPDATE review_decision SET seconds = -3600 WHERE case_id IN (:a, :b)"), {"a": ids[0], "b": ids[3]}
        )
    engine.dispose()
    shown = {user: (list(desk.statistics().times), desk.statistics().untimed) for user, desk in team.items()}
    ana = ("ana", 2, 0.0, 0.0, 20.0)
    assert shown["ana"] == ([ana], 1)
    assert shown["ben"] == ([], 1)
    assert shown["eva"] == ([], 0)
    assert shown["ida"] == shown["uwe"] == ([("", *ana[1:]), ana], 2)
    assert sum(day.readings for day in team["ida"].statistics().days) == 4  # they were readings


def test_what_waits_blind_tells_nothing_of_its_judgment(team: dict[str, Desk], database: str) -> None:
    """Two cases that differ in nothing but the judgment: while they wait, each is counted like the other."""
    team["ida"].set_policy(Policy(readings=2, blind_first=True))
    low, high = team["ida"].add_many([new(1, 0.001), new(2, 0.9)])
    ana = team["ana"]
    before = ana.statistics()
    shown = []
    for id in (low, high):
        decide(team["ben"], id, "confirm")
        decide(team["ben"], id, "confirm")
        found = ana.statistics()
        shown.append((found.readers, found.blind, found.detector, found.bands, found.times))
    assert shown[0] == shown[1] == (before.readers, before.blind, before.detector, before.bands, before.times)
    with pytest.raises(NotAllowed, match="read blind first"):
        ana.statistics(Query(flagged=True, order="age"))
    with pytest.raises(NotAllowed, match="read blind first"):
        ana.statistics(Query(p_max=0.05, order="age"))
