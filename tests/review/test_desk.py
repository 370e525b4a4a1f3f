"""Reading: leases, versions, blind-first, second readings, arbitration, signing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desks import new

from anogan.review import REASONS, Conflict, Desk, NewCase, NotAllowed, Policy, Query
from anogan.review.sheet import sheet


def decide(desk: Desk, id: int, verdict: Any, reason: str = "poor quality", text: str = "") -> Any:
    case = desk.lease(id)
    return desk.decide(id, case.version, verdict, REASONS[verdict][0], text)


def test_a_case_comes_out_as_it_went_in(desk: Desk, clock: Any) -> None:
    id = desk.add(new(1, p_value=0.03, priority=2))
    case = desk.case(id)
    for name in NewCase.__dataclass_fields__:
        assert getattr(case, name) == getattr(new(1, p_value=0.03, priority=2), name)
    assert (case.state, case.version, case.reader, case.verdict) == ("open", 1, "", None)
    assert case.added.timestamp() == clock.now


def test_a_known_key_changes_nothing(desk: Desk) -> None:
    first, second = desk.add_many([new(1), new(2)])
    again = desk.add_many([new(3), new(1, p_value=0.01), new(2), new(3)])
    assert again[1:3] == [first, second]
    assert again[0] == again[3] not in (first, second)
    assert desk.case(first).p_value == 0.5
    assert desk.counts() == {"open": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": ""}, "key: is empty"),
        ({"kind": "video"}, "kind: expected one of image, series, screening, got 'video'"),
        ({"p_value": 1.5}, r"p_value: expected a number in \[0, 1\] or None, got 1.5"),
        ({"score": float("nan")}, "score: expected a finite number or None"),
        ({"status": "not scored"}, "what is not scored has no score"),
    ],
)
def test_what_is_no_case(changes: dict[str, Any], words: str) -> None:
    import dataclasses

    with pytest.raises(ValueError, match=words):
        dataclasses.replace(new(1), **changes)


def test_one_reader_decides_and_signs(desk: Desk, clock: Any) -> None:
    id = desk.add(new(1))
    case = desk.take()
    assert case is not None
    assert (case.id, case.reader) == (id, "local")
    assert case.until is not None
    assert case.until.timestamp() == clock.now + 900
    clock.now += 42.5
    decided = desk.decide(id, case.version, "confirm", "abnormal finding", " seen twice ")
    assert (decided.state, decided.verdict, decided.version, decided.reader) == ("decided", "confirm", 2, "")
    (decision,) = desk.decisions(id)
    assert (decision.seconds, decision.text, decision.stage, decision.blind) == (42.5, "seen twice", "first", False)
    signed = desk.sign(id, decided.version)
    assert (signed.state, signed.signed_by) == ("signed", "local")
    with pytest.raises(ValueError, match=f"case {id}: is signed; only a decided case that is not signed"):
        desk.reopen(id, signed.version)
    with pytest.raises(ValueError, match=f"case {id}: is signed already"):
        desk.lease(id)
    assert desk.take() is None


def test_two_readers_never_have_one_case(team: dict[str, Desk], clock: Any) -> None:
    ana, ben = team["ana"], team["ben"]
    first, second = ana.add_many([new(1, p_value=0.1), new(2, p_value=0.2)])
    assert ana.take().id == first  # type: ignore[union-attr]
    assert ben.take().id == second  # type: ignore[union-attr]
    assert ana.take().id == first, "a refresh loses nothing"  # type: ignore[union-attr]
    with pytest.raises(Conflict, match=rf"case {first}: is being read by ana until \d\d:\d\d UTC; wait, or take"):
        ben.lease(first)
    with pytest.raises(Conflict, match="is being read by ana"):
        ben.decide(first, 1, "dismiss", "artifact")
    clock.now += 901
    assert ben.lease(first).reader == "ben"
    with pytest.raises(Conflict, match="is being read by ben"):
        ana.decide(first, 1, "dismiss", "artifact")
    ben.release(first)
    with pytest.raises(Conflict, match=f"case {first}: is not leased to you; open it again"):
        ana.decide(first, 1, "dismiss", "artifact")


def test_a_lapsed_lease_holds_until_somebody_takes_over(team: dict[str, Desk], clock: Any) -> None:
    id = team["ana"].add(new(1))
    team["ana"].lease(id)
    clock.now += 5000
    assert team["ana"].decide(id, 1, "dismiss", "artifact").state == "decided"


def test_a_stale_decision_is_refused(desk: Desk) -> None:
    id = desk.add(new(1))
    decide(desk, id, "dismiss")
    desk.reopen(id, 2)
    desk.lease(id)
    with pytest.raises(Conflict, match=r"has changed since it was opened \(version 3, not 1\); open it again"):
        desk.decide(id, 1, "dismiss", "artifact")
    with pytest.raises(Conflict, match="version 3, not 2"):
        desk.sign(id, 2)


def test_reasons_are_codes(desk: Desk) -> None:
    id = desk.add(new(1))
    desk.lease(id)
    with pytest.raises(ValueError, match="reason of dismiss: expected one of normal variant, artifact, .* got 'tired'"):
        desk.decide(id, 1, "dismiss", "tired")
    with pytest.raises(ValueError, match="text: is empty; say in words what the other reason is"):
        desk.decide(id, 1, "dismiss", "other", "  ")
    with pytest.raises(ValueError, match="verdict: expected one of confirm, dismiss, unsure, got 'maybe'"):
        desk.decide(id, 1, "maybe", "other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="case 999: there is none; it may have been erased"):
        desk.case(999)


@pytest.mark.parametrize("id", [2**63 - 1, 2**63, -(2**63) - 1])
def test_a_number_that_no_database_can_hold_is_no_case(desk: Desk, id: int) -> None:
    asked = (desk.case, desk.lease, desk.release, desk.image, lambda number: sheet(desk, number))
    for ask in asked:
        with pytest.raises(ValueError, match=f"^case {id}: there is none; it may have been erased$"):
            ask(id)


def test_what_is_unsure_is_not_signed(desk: Desk) -> None:
    id = desk.add(new(1))
    assert decide(desk, id, "unsure").state == "arbitration"
    case = decide(desk, id, "unsure")
    assert (case.state, case.verdict) == ("decided", "unsure")
    with pytest.raises(ValueError, match="was left unsure; reopen and decide it before signing"):
        desk.sign(id, case.version)
    assert desk.reopen(id, case.version).state == "arbitration"
    case = decide(desk, id, "confirm")
    assert desk.sign(id, case.version).state == "signed"


def test_two_independent_readings(team: dict[str, Desk]) -> None:
    ana, ben, eva = team["ana"], team["ben"], team["eva"]
    team["ida"].set_policy(Policy(readings=2))
    agreed, disputed, doubted = ana.add_many([new(1, p_value=0.1), new(2, p_value=0.2), new(3, p_value=0.3)])
    for id in (agreed, disputed, doubted):
        case = decide(ana, id, "confirm")
        assert (case.state, case.verdict) == ("second reading", None)
        with pytest.raises(NotAllowed, match=f"case {id}: you have read it already; second takes another reader"):
            ana.lease(id)
    assert ana.take() is None
    assert ben.decisions(agreed) == (), "independent"
    assert len(ana.decisions(agreed)) == len(team["uwe"].decisions(agreed)) == 1
    assert ben.take().id == agreed  # type: ignore[union-attr]
    assert decide(ben, agreed, "confirm").verdict == "confirm"
    assert decide(ben, disputed, "dismiss").state == "arbitration"
    assert decide(ben, doubted, "unsure").state == "arbitration"
    assert len(ben.decisions(disputed)) == 2
    with pytest.raises(NotAllowed, match="ben: is reader and may not arbitrate; that takes the role second reader"):
        ben.lease(disputed)
    assert ben.take() is None
    assert eva.take().id == disputed  # type: ignore[union-attr]
    settled = decide(eva, disputed, "dismiss")
    assert (settled.state, settled.verdict) == ("decided", "dismiss")
    with pytest.raises(NotAllowed, match=f"case {agreed}: you have not read it; one of its readers signs"):
        eva.sign(agreed, ana.case(agreed).version)
    assert ana.sign(disputed, settled.version).signed_by == "ana"
    assert [decision.stage for decision in eva.decisions(disputed)] == ["first", "second", "arbitration"]


def test_an_arbiter_has_not_read_the_case(team: dict[str, Desk]) -> None:
    eva = team["eva"]
    team["ida"].set_policy(Policy(readings=2))
    id = eva.add(new(1))
    decide(eva, id, "confirm")
    decide(team["ana"], id, "dismiss")
    assert eva.take() is None
    with pytest.raises(NotAllowed, match="you have read it already; arbitration takes another reader"):
        eva.lease(id)


def test_reopening(team: dict[str, Desk]) -> None:
    id = team["ana"].add(new(1))
    case = decide(team["ana"], id, "confirm")
    with pytest.raises(NotAllowed, match="ben: is reader and may not arbitrate"):
        team["ben"].reopen(id, case.version)
    case = team["ana"].reopen(id, case.version)
    assert (case.state, case.verdict) == ("open", None)
    case = decide(team["ana"], id, "dismiss")
    assert (case.state, case.verdict) == ("decided", "dismiss")
    assert [decision.verdict for decision in team["ana"].decisions(id)] == ["confirm", "dismiss"]


def test_blind_first(team: dict[str, Desk], clock: Any) -> None:
    ana, ben = team["ana"], team["ben"]
    team["ida"].set_policy(Policy(readings=2, blind_first=True))
    id, unscored = ana.add_many([new(1, p_value=0.01, folder="/somewhere"), new(2, p_value=None)])
    for case in (ana.lease(id), ana.case(id), *ana.page().cases[:1], *ana.history("subject-1")):
        assert case.blind
        assert (case.score, case.p_value, case.flagged, case.folder, case.reason) == (None, None, None, "", "")
    for case, decisions in ana.records():
        assert case.score is None
        assert decisions == ()
    assert ana.case(unscored).reason == "no face"
    case = ana.decide(id, 1, "dismiss", "artifact")
    assert (case.state, case.reader, case.blind) == ("open", "ana", False)
    assert (case.p_value, case.flagged, case.folder) == (0.01, True, "/somewhere")
    assert ana.decide(id, case.version, "confirm", "abnormal finding").state == "second reading"
    assert [(each.blind, each.verdict) for each in ana.decisions(id)] == [(True, "dismiss"), (False, "confirm")]
    assert ben.lease(id).blind
    assert ben.decisions(id) == ()
    assert team["uwe"].case(id).p_value == 0.01, "who decides nothing is not blind"


@pytest.mark.parametrize("query", [Query(), Query(order="age", flagged=True), Query(order="age", p_max=0.1)])
def test_a_blind_reader_learns_nothing_from_a_list(team: dict[str, Desk], query: Query) -> None:
    team["ida"].set_policy(Policy(blind_first=True))
    team["ana"].add(new(1))
    for method in (
        team["ana"].page,
        team["ana"].counts,
        team["ana"].take,
        lambda query: list(team["ana"].records(query)),
    ):
        with pytest.raises(NotAllowed, match="read blind first, so cases are not listed by p-value or flag"):
            method(query)
    assert len(team["uwe"].page(query).cases) <= 1


def test_the_image_alone(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "cases" / ("0" * 16)
    folder.mkdir(parents=True)
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.savez_compressed(folder / "maps.npz", image=image, anomaly_map=np.ones((3, 4), np.float16))
    desk.set_policy(Policy(blind_first=True))
    with_picture, without = desk.add_many([new(1, folder=str(folder)), new(2)])
    assert (desk.image(with_picture) == image).all()
    with pytest.raises(ValueError, match=f"case {without}: has no pictures"):
        desk.image(without)


def test_the_image_of_a_blind_series_does_not_tell_its_top_slice(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "cases" / ("0" * 16)
    folder.mkdir(parents=True)
    slices = {f"image-{number:04d}": np.full((3, 4), number, np.uint8) for number in range(1, 6)}
    np.savez_compressed(folder / "slices.npz", **slices)
    np.savez_compressed(folder / "maps.npz", image=slices["image-0004"], anomaly_map=np.ones((3, 4), np.float16))
    id = desk.add(dataclasses.replace(new(1, folder=str(folder)), kind="series"))
    assert desk.image(id)[0, 0] == 4
    desk.set_policy(Policy(blind_first=True))
    assert desk.image(id)[0, 0] == 3
    (folder / "slices.npz").unlink()
    with pytest.raises(ValueError, match=f"case {id}: its slices were not kept, so there is no picture before"):
        desk.image(id)


def test_a_blind_decision_alone_signs_no_other_reader_s_verdict(team: dict[str, Desk], clock: Any) -> None:
    ana, ben = team["ana"], team["ben"]
    team["ida"].set_policy(Policy(blind_first=True, lease=60))
    number = ana.add(new(1))
    assert decide(ana, number, "confirm").state == "open"  # blind; then she goes home
    clock.now += 1000
    decide(ben, number, "dismiss")
    case = decide(ben, number, "dismiss")
    assert (case.state, case.verdict) == ("decided", "dismiss")
    with pytest.raises(NotAllowed, match=f"case {number}: you have not read it; one of its readers signs"):
        ana.sign(number, case.version)
    assert ben.sign(number, case.version).signed_by == "ben"


def test_a_signed_case_is_found_by_its_key_and_that_is_an_export(team: dict[str, Desk]) -> None:
    ana = team["ana"]
    number = ana.add(new(1))
    case = ana.lease(number)
    case = ana.decide(number, case.version, "confirm", "abnormal finding")
    assert ana.signed("key-1") is None
    ana.sign(number, case.version)
    found = team["ida"].signed("key-1")
    assert found is not None
    assert (found[0].signed_by, found[0].verdict, found[1].reader, found[1].reason) == (
        "ana", "confirm", "ana", "abnormal finding"
    )  # fmt: skip
    assert team["ida"].signed("key-2") is None
    last = team["uwe"].log(size=1000)[-1]
    assert (last.action, last.actor, last.case, last.details["signed_by"]) == ("exported", "ida", number, "ana")
    assert team["uwe"].verify().faults == ()


def test_the_reason_of_a_signed_case_is_that_of_its_verdict(team: dict[str, Desk]) -> None:
    """Who had said otherwise before the arbitration may sign; a confirmed case is no "normal variant"."""
    team["ida"].set_policy(Policy(readings=2))
    ana, ben, eva = team["ana"], team["ben"], team["eva"]
    number = ana.add(new(1))
    decide(ana, number, "confirm")
    decide(ben, number, "dismiss")
    case = decide(eva, number, "confirm")
    ben.sign(number, case.version)
    found = ana.signed("key-1")
    assert found is not None
    assert (found[0].signed_by, found[1].reader, found[1].reason) == ("ben", "eva", "abnormal finding")


def test_a_clock_that_goes_back_makes_no_lease_longer(desk: Desk, team: dict[str, Desk], clock: Any) -> None:
    desk.add(new(1))
    lease = team["ida"].policy.lease
    team["ana"].lease(1)
    clock.now -= 86_400
    seen = team["ben"].case(1)
    assert seen.until is not None
    assert seen.until.timestamp() <= clock.now + lease
    with pytest.raises(Conflict, match="case 1: is being read by ana"):
        team["ben"].lease(1)
    clock.now += lease + 1
    assert team["ben"].lease(1).reader == "ben"


def test_a_clock_that_goes_back_makes_no_reading_time_negative(desk: Desk, team: dict[str, Desk], clock: Any) -> None:
    desk.add(new(1))
    held = team["ana"].lease(1)
    clock.now -= 3600
    team["ana"].decide(1, held.version, "dismiss", "artifact")
    assert [decision.seconds for decision in team["ana"].decisions(1)] == [0.0]
