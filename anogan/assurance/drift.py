"""Does the calibration still hold? A martingale that bets against the order of the scores, and how features moved.

Each routine case is ranked among the calibration images and all cases before it. As long as cases and calibration
images are exchangeable those ranks, smoothed, are independent and uniform, whatever the scores' distribution and
however few calibration images there are; so no bet on them can be expected to win. The simple jumper bets on ranks that
are too high or too low. By Ville's inequality its capital, 1 at first, ever reaches `1 / FALSE_ALARM` with a
probability of at most `FALSE_ALARM`: not in a year, but in the whole life of the monitor.

Capital that bets on nothing waits in one of the accounts, so that a change after a year is found about as fast as one
on the first day.

References
----------
Vovk, Nouretdinov, Gammerman, Testing exchangeability on-line, ICML 2003; Vovk, Gammerman, Shafer, Algorithmic Learning
in a Random World, 2nd edition 2022, algorithm 8.1 (simple jumper) and section 8.1 (Ville's inequality).
"""

from __future__ import annotations

import bisect
import datetime
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import ks_2samp

from anogan.detector.calibration import Calibration
from anogan.storage.atomic import alone, write_bytes
from anogan.storage.documents import json_text, json_value
from anogan.storage.pseudonym import person_hash

FALSE_ALARM = 0.01
STAKES = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
"""What each account bets: below 0 on high scores (small p-values), above 0 on low ones."""
JUMP = 1e-4  # share of the capital that is spread over all accounts after each case
ABNORMAL_SHARE = 0.05
WINDOW = 200  # recent cases whose features are compared with the calibration images'
LEAST_DEVIATION = 0.01  # in healthy deviations: calibration images below it are all the same
PATIENCE = 60.0  # seconds: who changes the monitor needs milliseconds
PAUSED = "the calibration no longer holds, see `anogan drift`"
_FORMAT = 1
FILE = "drift.json"


class Case(NamedTuple):
    """A scored case: what it is known by, whose it is ("": nobody's), its score and that of each component."""

    content: str
    person: str
    score: float
    components: Mapping[str, float]


class FeatureDrift(NamedTuple):
    """How far one component's scores have moved from those of the calibration images.

    Attributes
    ----------
    component
        Its name.
    shift
        Difference of the medians, in standard deviations of the calibration images.
    distance
        Kolmogorov-Smirnov: the largest difference of the two cumulative distributions, in [0, 1].
    p_value
        Of the two-sample Kolmogorov-Smirnov test, times the number of components (Bonferroni).
    """

    component: str
    shift: float
    distance: float
    p_value: float


def bet(capital: np.ndarray, p_values: np.ndarray, abnormal_share: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Play one round of the simple jumper.

    Parameters
    ----------
    capital
        (..., len(STAKES)) of each account; evenly spread and 1 in all at first.
    p_values
        (...) smoothed, in [0, 1].
    abnormal_share
        Up to this share of abnormal cases, wherever they rank, the capital still cannot be expected to grow: each
        account pays for the most that they could win.

    Returns
    -------
    capital, total
        The accounts after the round, and their sum before capital moved between them, (...).
    """
    gain = 1 + STAKES * (np.asarray(p_values)[..., None] - 0.5)
    capital = capital * gain / (1 + abnormal_share * np.abs(STAKES) / 2)
    total = capital.sum(-1, keepdims=True)
    return (1 - JUMP) * capital + JUMP / len(STAKES) * total, total[..., 0]


def _first_capital() -> np.ndarray:
    return np.full(len(STAKES), 1 / len(STAKES))


@dataclass(eq=False)
class Monitor:
    """What has been seen since the calibration. `open` reads it from a run folder; who changes it does so in `change`.

    Attributes
    ----------
    calibration
        (n,) scores of the calibration images, sorted.
    components
        Scores of the calibration images by component, (n,) each; empty where a detector was calibrated without.
    abnormal_share
        Share of abnormal cases that is no drift, in [0, 1).
    capital
        (len(STAKES),) of the accounts.
    total, highest
        Their sum now and at its highest.
    scores
        Of the cases so far, sorted.
    seen
        Keyed hashes of the persons, and hashes of the files that name none, that have been counted.
    recent
        Component scores of the last `WINDOW` cases, oldest first.
    alarm
        (number of cases, date) when the capital reached `1 / FALSE_ALARM`, or None. Nothing is counted after it.
    resets
        Dates on which somebody set the monitor back.
    """

    calibration: np.ndarray
    components: Mapping[str, np.ndarray] = field(default_factory=dict)
    abnormal_share: float = ABNORMAL_SHARE
    capital: np.ndarray = field(default_factory=_first_capital)
    total: float = 1.0
    highest: float = 1.0
    scores: list[float] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    recent: list[dict[str, float]] = field(default_factory=list)
    alarm: tuple[int, str] | None = None
    resets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calibration = np.sort(np.asarray(self.calibration, dtype=np.float64))
        if not 0 <= self.abnormal_share < 1:
            raise ValueError(f"abnormal_share: expected a number from 0 to below 1, got {self.abnormal_share:g}")

    # Watching

    def add(self, cases: Iterable[Case]) -> int:
        """Count cases in the order of their scoring and return how many were new.

        Images of one person resemble each other, so only one counts, drawn by its content; neither does a file or a
        person count that was counted before.
        """
        drawn: dict[str, Case] = {}
        for case in cases:
            key = person_hash(case.person) if case.person else case.content
            if key not in self.seen and (key not in drawn or case.content < drawn[key].content):
                drawn[key] = case  # keeps the place of the person's first image
        count = 0
        for key, case in drawn.items():
            if self.alarm is not None:
                break
            self._count(key, case)
            count += 1
        return count

    def _count(self, key: str, case: Case) -> None:
        # The content draws where among equals the case ranks: as good as chance, and the same when done again.
        chance = int(_hash(self.identity, case.content), 16) / 16**16
        self.capital, total = bet(self.capital, np.asarray(self.p_value(case.score, chance)), self.abnormal_share)
        self.total = float(total)
        self.highest = max(self.highest, self.total)
        bisect.insort(self.scores, float(case.score))
        self.seen.add(key)
        self.recent = [*self.recent, {name: float(value) for name, value in case.components.items()}][-WINDOW:]
        if self.total >= 1 / FALSE_ALARM:
            self.alarm = len(self.scores), _today()

    def forget(self, person: str) -> bool:
        """Forget that a person was counted, and tell whether one was; the score stays, as nobody's.

        A random hash takes the place of the person's, because there is one for each score.
        """
        known = person_hash(person)
        if known not in self.seen:
            return False
        self.seen = self.seen - {known} | {secrets.token_hex(8)}
        return True

    def p_value(self, score: float, chance: float) -> float:
        """Return the smoothed p-value of a score among the calibration images and the cases so far.

        (number above + chance * (1 + number equal)) / (number + 1), with chance uniform in [0, 1].
        """
        above = equal = 0
        for ranked in (self.calibration, self.scores):
            first, last = bisect.bisect_left(ranked, score), bisect.bisect_right(ranked, score)
            above, equal = above + len(ranked) - last, equal + last - first
        return (above + chance * (1 + equal)) / (len(self.calibration) + len(self.scores) + 1)

    @cached_property
    def identity(self) -> str:
        """A hash of the calibration scores: another calibration has another monitor."""
        return _hash(*map(repr, self.calibration.tolist()))

    # Telling

    def warning(self) -> str:
        """Say that the calibration no longer holds, and what to do; "" while there is no alarm."""
        if self.alarm is None:
            return ""
        count, date = self.alarm
        return (
            f"the calibration no longer holds: since case {count} ({date}) the scores are not those of its healthy "
            f"images, so nothing is flagged automatically; find out what changed, then calibrate again and restart "
            f"`anogan serve` and `anogan listen`, or reset the monitor"
        )

    def feature_drift(self) -> list[FeatureDrift]:
        """Compare the recent cases' component scores with the calibration images', most changed first.

        A figure and no alarm: looked at every day, a small p-value turns up by chance.
        """
        found = []
        for name, healthy in self.components.items():
            values = np.array([row[name] for row in self.recent if name in row])
            if len(values) < 2 or len(healthy) < 2:
                continue
            test = ks_2samp(values, healthy)
            shift = float(np.median(values) - np.median(healthy)) / max(float(np.std(healthy, ddof=1)), LEAST_DEVIATION)
            p_value = min(1.0, float(test.pvalue) * len(self.components))
            found.append(FeatureDrift(name, shift, float(test.statistic), p_value))
        return sorted(found, key=lambda drift: -drift.distance)

    # Keeping

    @classmethod
    def open(cls, run: Path) -> Monitor:
        """Return the monitor of a run folder: the one kept there, or a new one after a calibration.

        Raises
        ------
        ValueError
            The run is not calibrated, or its `drift.json` is damaged.
        """
        calibration, components = _calibration(run)
        identity, state = _kept(run) or ("", {})
        fresh = cls(calibration, components, state.get("abnormal_share", ABNORMAL_SHARE))
        return replace(fresh, **state) if identity == fresh.identity else fresh

    @classmethod
    def reset(cls, run: Path, abnormal_share: float | None = None) -> Monitor:
        """Start anew with the same calibration, whatever the kept monitor says, and keep that.

        Raises
        ------
        ValueError
            As `open`, but not for a damaged `drift.json`; or the share is not in [0, 1).
        """
        with _alone(run):
            try:
                kept = cls.open(run)
            except ValueError:
                kept = cls(*_calibration(run))
            share = kept.abnormal_share if abnormal_share is None else abnormal_share
            monitor = cls(kept.calibration, kept.components, share, resets=[*kept.resets, _today()])
            monitor.save(run)
        return monitor

    @classmethod
    @contextmanager
    def change(cls, run: Path) -> Iterator[Monitor]:
        """Open the monitor of a run folder to change and `save` it; all others wait until the block ends.

        Raises
        ------
        ValueError
            As `open`; or somebody else has been at it for `PATIENCE` seconds.
        """
        with _alone(run):
            yield cls.open(run)

    def save(self, run: Path) -> None:
        """Write `drift.json`, whole or not at all: numbers and hashes, no pixels, no names."""
        kept: dict[str, Any] = {
            "format": _FORMAT,
            "calibration": self.identity,
            "abnormal_share": self.abnormal_share,
            "capital": self.capital.tolist(),
            "total": self.total,
            "highest": self.highest,
            "alarm": None if self.alarm is None else list(self.alarm),
            "resets": self.resets,
            "recent": self.recent,
            "scores": self.scores,
            "seen": sorted(self.seen),
        }
        write_bytes(run / FILE, f"{json_text(kept)}\n".encode())


def warning(run: Path) -> str:
    """Return what `Monitor.warning` says of a run folder; "" where nothing is monitored."""
    return Monitor.open(run).warning() if (run / FILE).is_file() else ""


def alarm_of(run: Path, calibration: Calibration | None, before: bool = False) -> bool:
    """Tell whether a calibration in memory has an alarm, for a process that goes on while the run is calibrated again.

    What the kept monitor says holds only if it is the monitor of that very calibration; else what was known `before`.

    Raises
    ------
    ValueError
        `drift.json` is damaged.
    """
    identity, state = _kept(run) or ("", {})
    if calibration is None or identity != Monitor(calibration.scores).identity:
        return before
    return state["alarm"] is not None


def _kept(run: Path) -> tuple[str, dict[str, Any]] | None:
    """Return the identity of the calibration whose monitor is kept in a run folder, and its state; None: none is."""
    path = run / FILE
    if not path.is_file():
        return None
    try:
        kept = json_value(path.read_text(encoding="utf-8"))
        alarm = kept["alarm"]
        state: dict[str, Any] = {
            "abnormal_share": float(kept["abnormal_share"]),
            "capital": np.array(kept["capital"], dtype=np.float64),
            "total": float(kept["total"]),
            "highest": float(kept["highest"]),
            "scores": sorted(map(float, kept["scores"])),
            "seen": set(map(str, kept["seen"])),
            "recent": [dict(row) for row in kept["recent"]],
            "alarm": None if alarm is None else (int(alarm[0]), str(alarm[1])),
            "resets": list(kept["resets"]),
        }
        shapes = state["capital"].shape == STAKES.shape and len(state["seen"]) == len(state["scores"])
        if not (kept["format"] == _FORMAT and shapes and 0 <= state["abnormal_share"] < 1):
            raise ValueError
        return str(kept["calibration"]), state
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        raise ValueError(f"{path}: damaged; restore it, or start anew with `anogan drift {run} --reset`") from None


def _calibration(run: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the calibration scores of a run folder, and those of the components, without loading its detector."""
    path = run / "detector.json"
    try:
        described = json_value(path.read_text(encoding="utf-8"))
        point = described["calibration"]
        if point is None:
            raise ValueError(f"{run}: is not calibrated; run `anogan calibrate {run} DATA` first")
        parts = point["groups"].values() if "groups" in point else [point["scores"]]
        scores = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
        components = described["provenance"].get("calibration_components", {})
        return scores, {name: np.asarray(values, dtype=np.float64) for name, values in components.items()}
    except FileNotFoundError:
        raise ValueError(f"{run}: not a run folder of anogan (it has no detector.json)") from None
    except (OSError, json.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path}: damaged; restore it or train again") from None


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Let one at a time change the monitor: of two who read it and both write it back, only the second has counted."""
    _calibration(run)  # before a lock is made where there is no run
    busy = f"{run}: somebody else is changing its drift monitor; try again in a moment"
    with alone(run / ".drift.lock", busy, PATIENCE):
        yield


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
