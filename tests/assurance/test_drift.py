"""The watch over the calibration: bets by hand, an oracle, false alarms, and what is kept."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from crepes.martingales import EpsilonBettingFunction, SimpleJumper, semi_online_p_values
from scipy.stats import ks_2samp

from anogan.assurance import drift
from anogan.assurance.drift import FALSE_ALARM, JUMP, STAKES, Case, Monitor, bet
from anogan.detector.calibration import Calibration
from anogan.storage.pseudonym import person_hash


def cases(scores: np.ndarray, start: int = 0) -> Iterator[Case]:
    for index, score in enumerate(scores, start):
        yield Case(f"{index:016x}", "", float(score), {"residual": float(score)})


def write_run(run: Path, scores: np.ndarray, components: dict[str, list[float]] | None = None) -> Path:
    run.mkdir(exist_ok=True)
    calibration = {"false_alarm_rate": 0.05, "scores": scores.tolist()}
    described = {"calibration": calibration, "provenance": {"calibration_components": components or {}}}
    (run / "detector.json").write_text(json.dumps(described))
    return run


def test_smoothed_p_value_by_hand() -> None:
    monitor = Monitor(np.array([3.0, 1.0, 2.0, 2.0]))
    monitor.scores = [2.0, 5.0]
    assert monitor.p_value(2.0, 0.5) == (2 + 0.5 * 4) / 7  # 3 and 5 above, three equal and itself
    assert monitor.p_value(9.0, 0.0) == 0
    assert monitor.p_value(0.0, 1.0) == 1


def test_one_round_by_hand() -> None:
    even = np.full(len(STAKES), 1 / len(STAKES))
    capital, total = bet(even, np.array(0.0))
    assert total == pytest.approx(1)  # the stakes are symmetric
    before = (1 - STAKES / 2) / len(STAKES)
    np.testing.assert_allclose(capital, (1 - JUMP) * before + JUMP / len(STAKES))
    _, priced = bet(even, np.array(0.0), abnormal_share=0.2)
    assert priced == pytest.approx(np.mean((1 - STAKES / 2) / (1 + 0.1 * np.abs(STAKES))))


def test_no_bet_wins_on_uniform_ranks_nor_on_abnormal_cases_that_were_allowed_for() -> None:
    p = (np.arange(1000) + 0.5) / 1000
    capital = np.tile(np.random.default_rng(0).dirichlet(np.ones(len(STAKES))), (1000, 1))
    assert bet(capital, p)[1].mean() == pytest.approx(1)
    for abnormal in (0.0, 1.0):  # wherever they rank
        mixed = 0.9 * bet(capital, p, 0.1)[1].mean() + 0.1 * bet(capital[:1], np.array([abnormal]), 0.1)[1][0]
        assert mixed <= 1 + 1e-12


def test_the_capital_is_that_of_crepes() -> None:
    generator = np.random.default_rng(3)
    scores = np.concatenate([generator.normal(size=300), generator.normal(1.5, 1, 60)])
    p_values = semi_online_p_values(scores, seed=1)[100:]
    # crepes does not take a stake of 2 itself
    oracle = SimpleJumper(J=JUMP, bf=EpsilonBettingFunction((STAKES * (1 - 1e-9)).tolist())).apply(p_values)
    capital, totals = np.full(len(STAKES), 1 / len(STAKES)), []
    for p in p_values:
        capital, total = bet(capital, np.array(p))
        totals.append(float(total))
    assert max(totals) > 100
    np.testing.assert_allclose(totals, oracle, rtol=1e-6)


def test_p_values_are_those_of_crepes_and_uniform() -> None:
    scores = np.random.default_rng(4).normal(size=500)
    monitor, found = Monitor(scores[:50]), []
    for score in scores[50:]:
        found.append(monitor.p_value(score, 0.0))
        monitor.scores = sorted([*monitor.scores, score])
    n = np.arange(50, 500)
    lowest = np.floor(semi_online_p_values(scores, seed=0)[50:] * (n + 1)) / (n + 1)
    np.testing.assert_allclose(found, lowest)


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_a_shift_either_way_is_found_and_normal_days_are_not(shift: float) -> None:
    generator = np.random.default_rng(7)
    monitor = Monitor(generator.normal(size=200))
    monitor.add(cases(generator.normal(size=1000)))
    assert monitor.alarm is None and monitor.warning() == "" and monitor.highest < 100
    monitor.add(cases(generator.normal(shift, 1, 300), start=1000))
    assert monitor.alarm is not None
    assert 1000 < monitor.alarm[0] < 1120
    assert len(monitor.scores) == monitor.alarm[0]  # nothing is counted after it
    assert monitor.warning().startswith(f"the calibration no longer holds: since case {monitor.alarm[0]} (")


def test_false_alarms_stay_within_the_promise() -> None:
    """Ranks are independent and uniform under exchangeability, so 4000 lives of 1000 cases are cheap."""
    generator = np.random.default_rng(5)
    capital, alarmed = np.full((4000, len(STAKES)), 1 / len(STAKES)), np.zeros(4000, bool)
    for _ in range(1000):
        capital, total = bet(capital, generator.random(4000))
        alarmed |= total >= 1 / FALSE_ALARM
    assert 0 < alarmed.mean() <= FALSE_ALARM


def test_a_case_and_a_person_count_once() -> None:
    monitor = Monitor(np.arange(20.0))
    one, two, other = Case("b" * 16, "p", 3.0, {}), Case("a" * 16, "p", 4.0, {}), Case("c" * 16, "", 5.0, {})
    assert monitor.add([one, other, two, other]) == 2
    assert monitor.scores == [4.0, 5.0]  # of a person's images the one with the smallest hash
    assert monitor.add([one, two, other]) == 0
    assert "p" not in monitor.seen


def test_it_survives_a_restart_whole(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    run = write_run(tmp_path / "run", generator.normal(size=50), {"residual": generator.normal(size=50).tolist()})
    stream = list(cases(generator.normal(size=300)))
    through = Monitor.open(run)
    through.add(stream)
    for part in (stream[:120], stream[100:]):
        monitor = Monitor.open(run)
        monitor.add(part)
        monitor.save(run)
    kept = Monitor.open(run)
    assert (kept.total, kept.highest, kept.scores, kept.seen) == (
        through.total,
        through.highest,
        through.scores,
        through.seen,
    )
    assert len(kept.recent) == drift.WINDOW
    assert kept.feature_drift() == through.feature_drift()


def test_those_who_count_at_once_lose_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", np.arange(100.0))

    def feed(number: int) -> None:
        for case in cases(np.full(5, 50.0), start=5 * number):
            with Monitor.change(run) as monitor:
                monitor.add([case])
                monitor.save(run)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(feed, range(8)))
    assert len(Monitor.open(run).scores) == 40
    with pytest.raises(RuntimeError), Monitor.change(run) as monitor:
        monitor.add(cases(np.ones(1), start=99))
        raise RuntimeError
    assert len(Monitor.open(run).scores) == 40


def test_where_there_is_no_run_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a run folder of anogan"):
        Monitor.reset(tmp_path / "typo")
    assert not list(tmp_path.iterdir())


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", np.arange(100.0))
    monkeypatch.setattr(drift, "PATIENCE", 0.05)
    with Monitor.change(run), pytest.raises(ValueError, match="somebody else is changing its drift monitor; try again"):
        Monitor.reset(run)


def test_calibrating_again_or_a_reset_ends_the_alarm(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", np.arange(100.0))
    monitor = Monitor.reset(run, abnormal_share=0.2)
    monitor.add(cases(np.full(200, 1000.0)))
    monitor.save(run)
    assert drift.warning(run).startswith("the calibration no longer holds")
    assert Monitor.reset(run).alarm is None
    assert drift.warning(run) == ""
    assert (Monitor.open(run).abnormal_share, len(Monitor.open(run).resets)) == (0.2, 2)
    monitor.save(run)
    write_run(run, np.arange(100.0) + 1)
    fresh = Monitor.open(run)
    assert (fresh.alarm, fresh.scores, fresh.abnormal_share) == (None, [], 0.2)


def test_the_alarm_of_a_calibration_in_memory_is_that_of_its_own_monitor(tmp_path: Path) -> None:
    """Those of groups are one calibration: it is the same in memory and in the file."""
    scores = np.random.default_rng(0).normal(size=100)
    first = Calibration.fit(scores, 0.2, groups=["a", "b"] * 50, column="site")
    run = write_run(tmp_path / "run", scores)
    (run / "detector.json").write_text(json.dumps({"calibration": first.to_json(), "provenance": {}}))
    assert not drift.alarm_of(run, first)
    assert drift.alarm_of(run, first, before=True)
    monitor = Monitor.open(run)
    monitor.add(cases(np.full(200, 1000.0)))
    monitor.save(run)
    second = Calibration.fit(scores + 1, 0.2)
    for before in (False, True):
        assert drift.alarm_of(run, first, before)
        assert [drift.alarm_of(run, other, before) for other in (second, None)] == [before, before]
    Monitor.reset(run)
    assert not drift.alarm_of(run, first, before=True)


def test_feature_drift_by_hand() -> None:
    healthy = np.arange(100.0)
    monitor = Monitor(healthy, {"residual": healthy, "gaussian": healthy})
    monitor.recent = [{"residual": float(x), "gaussian": float(x) + 30} for x in range(100)]
    first, second = monitor.feature_drift()
    assert first.component == "gaussian"
    assert first.shift == pytest.approx(30 / healthy.std(ddof=1))
    assert first.distance == pytest.approx(0.30)
    assert first.p_value == pytest.approx(2 * ks_2samp(healthy, healthy + 30).pvalue)
    assert (second.component, second.shift, second.distance, second.p_value) == ("residual", 0, 0, 1)


@pytest.mark.parametrize("damage", ["{", '{"format": 1}', "[]", '{"format": 9}'])
def test_a_damaged_state_is_one_sentence_and_can_be_reset(tmp_path: Path, damage: str) -> None:
    run = write_run(tmp_path / "run", np.arange(30.0))
    (run / "drift.json").write_text(damage)
    with pytest.raises(
        ValueError, match=r"drift.json: damaged; restore it, or start anew with `anogan drift .*--reset`"
    ):
        Monitor.open(run)
    Monitor.reset(run)
    assert Monitor.open(run).scores == []


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="abnormal_share: expected a number from 0 to below 1, got 1"):
        Monitor(np.arange(9.0), abnormal_share=1.0)
    with pytest.raises(ValueError, match="not a run folder of anogan"):
        Monitor.open(tmp_path)
    (tmp_path / "detector.json").write_text('{"calibration": null, "provenance": {}}')
    with pytest.raises(ValueError, match="is not calibrated; run `anogan calibrate"):
        Monitor.open(tmp_path)


def test_the_state_holds_no_names(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", np.arange(30.0))
    monitor = Monitor.open(run)
    monitor.add([Case("0" * 16, "MUELLER^ANNA", 3.5, {"residual": 1.0})])
    monitor.save(run)
    assert "MUELLER" not in (run / "drift.json").read_text()


def test_a_person_is_counted_under_a_keyed_hash_and_can_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, case = write_run(tmp_path / "run", np.arange(20.0)), Case("c" * 16, "ID-7", 3.5, {})
    monitor = Monitor.open(run)
    monitor.add([case, Case("d" * 16, "ID-8", 4.5, {})])
    unkeyed = hashlib.sha256(b"person\nID-7").hexdigest()[:16]
    assert person_hash("ID-7") in monitor.seen
    assert unkeyed not in monitor.seen
    assert monitor.forget("ID-7")
    assert not monitor.forget("ID-7")
    monitor.save(run)
    kept = Monitor.open(run)
    assert person_hash("ID-7") not in kept.seen
    assert person_hash("ID-8") in kept.seen
    assert (len(kept.seen), kept.scores) == (2, [3.5, 4.5])  # the evidence stays
    before = set(kept.seen)
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", "another key of 29 characters.")
    assert not kept.forget("ID-8")
    assert kept.seen == before
