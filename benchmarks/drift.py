"""The watch over the calibration: how often a normal year alarms, and how many cases a shift goes unnoticed.

    python benchmarks/calibration.py  # scores malaria as it is and as other sites would image it
    python benchmarks/drift.py        # simulated years, then those scores; minutes, then the table

A year is 50 cases a day on 365 days, each beside a calibration set of its own. Cases are ranked among the calibration
images and all cases before, as `anogan.assurance.drift.Monitor` does it, and the bets are its bets. To show why, one
row ranks among the calibration images alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from anogan.assurance.drift import ABNORMAL_SHARE, FALSE_ALARM, STAKES, bet
from anogan.metrics import binomial
from anogan.storage.documents import json_text

RESULTS = Path(__file__).parent / "results"
SCORES = RESULTS / "calibration.json"
DAY, DAYS, YEARS = 50, 365, 1000
LIVES, WAIT = 200, 3000  # of the delays: simulated lives, and cases after which the wait ends
ABNORMAL_SHIFT = 3.0  # of abnormal cases, in healthy standard deviations


def smoothed_p_values(calibration: np.ndarray, cases: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the p-values of one stream of cases, (N,): `Monitor.p_value` of one case after the other."""
    ranked, found = np.sort(calibration), np.empty(len(cases))
    for start in range(0, len(cases), DAY):
        day = cases[start : start + DAY]
        before = np.tri(len(day), k=-1, dtype=bool)  # row: case, column: the cases before it on that day
        above = len(ranked) - np.searchsorted(ranked, day, "right") + (before & (day > day[:, None])).sum(1)
        equal = np.searchsorted(ranked, day, "right") - np.searchsorted(ranked, day, "left")
        equal = equal + (before & (day == day[:, None])).sum(1)
        number = len(ranked) + np.arange(len(day)) + 1
        found[start : start + DAY] = (above + generator.random(len(day)) * (1 + equal)) / number
        day = np.sort(day)
        ranked = np.insert(ranked, np.searchsorted(ranked, day), day)
    return found


def first_alarm(p_values: np.ndarray, abnormal_share: float) -> np.ndarray:
    """Return the case that sets off the alarm in each stream, (M, N) -> (M,), counted from 1; 0 where none does."""
    capital = np.full((len(p_values), len(STAKES)), 1 / len(STAKES))
    alarm = np.zeros(len(p_values), int)
    for case, p in enumerate(p_values.T, 1):
        capital, total = bet(capital, p, abnormal_share)
        alarm[(alarm == 0) & (total >= 1 / FALSE_ALARM)] = case
        capital[alarm > 0] = 0  # done; it would only overflow
    return alarm


def years(n: int, abnormal: float, growing: bool, seed: int) -> np.ndarray:
    """Return the p-values of normal years, (YEARS, cases); a share of abnormal cases is part of what is normal."""
    generator = np.random.default_rng([seed, n])
    found = np.empty((YEARS, DAY * DAYS))
    for year in range(YEARS):
        calibration, cases = generator.normal(size=n), generator.normal(size=DAY * DAYS)
        cases[generator.random(len(cases)) < abnormal] += ABNORMAL_SHIFT
        if growing:
            found[year] = smoothed_p_values(calibration, cases, generator)
        else:
            above = n - np.searchsorted(np.sort(calibration), cases)
            found[year] = (above + generator.random(len(cases))) / (n + 1)
    return found


def false_alarms() -> list[dict[str, Any]]:
    rows = []
    plans = [
        (200, 0.0, True, (ABNORMAL_SHARE, 0.0)),
        (1000, 0.0, True, (ABNORMAL_SHARE, 0.0)),
        (200, 0.05, True, (ABNORMAL_SHARE, 0.0)),
        (200, 0.0, False, (0.0,)),
    ]
    for n, abnormal, growing, shares in plans:
        p_values = years(n, abnormal, growing, seed=0)
        for share in shares:
            alarmed = int((first_alarm(p_values, share) > 0).sum())
            among = "calibration and earlier cases" if growing else "calibration alone"
            rows.append(
                {"n": n, "abnormal": abnormal, "share": share, "among": among, "rate": list(binomial(alarmed, YEARS))}
            )
            print(rows[-1], flush=True)
    return rows


def delay(alarm: np.ndarray, before: int) -> dict[str, Any]:
    """Sum up alarms: those before the shift are false; of the rest, how many cases after it."""
    late = np.where(alarm == 0, WAIT + 1, alarm - before)[(alarm == 0) | (alarm > before)]
    quantiles = np.quantile(late, (0.5, 0.9), method="higher")
    return {
        "median": None if quantiles[0] > WAIT else int(quantiles[0]),
        "90 %": None if quantiles[1] > WAIT else int(quantiles[1]),
        "found": float((late <= WAIT).mean()),
        "before the shift": int(((alarm > 0) & (alarm <= before)).sum()),
    }


def simulated_delays() -> list[dict[str, Any]]:
    rows = []
    for n, before in ((200, 0), (200, 1000), (1000, 0), (1000, 1000), (1000, 9000)):
        for shift in (0.25, 0.5, 1.0, -0.5):
            generator = np.random.default_rng([1, n, before])
            p_values = np.empty((LIVES, before + WAIT))
            for life in range(LIVES):
                cases = generator.normal(size=before + WAIT)
                cases[before:] += shift
                p_values[life] = smoothed_p_values(generator.normal(size=n), cases, generator)
            for share in (ABNORMAL_SHARE, 0.0):
                found = delay(first_alarm(p_values, share), before)
                rows.append({"n": n, "before": before, "shift": shift, "share": share, **found})
                print(rows[-1], flush=True)
    return rows


def real_delays(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Draw calibration and cases from the healthy images, with replacement; after 1000 cases the site changes."""
    healthy = np.array(kept["labels"]) == 0
    home = np.array(kept["scores"]["as it is"])[healthy]
    rows, before = [], 1000
    for site, values in kept["scores"].items():
        scores = np.array(values)[healthy]
        shift = float((scores.mean() - home.mean()) / home.std(ddof=1))
        flagged = float((scores >= np.quantile(home, 0.95)).mean())
        for n in (200, 1000):
            generator = np.random.default_rng([2, n])
            p_values = np.empty((LIVES, before + WAIT))
            for life in range(LIVES):
                cases = np.concatenate([generator.choice(home, before), generator.choice(scores, WAIT)])
                p_values[life] = smoothed_p_values(generator.choice(home, n), cases, generator)
            for share in (ABNORMAL_SHARE, 0.0):
                found = delay(first_alarm(p_values, share), before)
                rows.append({"site": site, "n": n, "shift": shift, "flagged": flagged, "share": share, **found})
                print(rows[-1], flush=True)
    return rows


def cells(row: dict[str, Any]) -> str:
    median, most = (f"> {WAIT}" if row[key] is None else str(row[key]) for key in ("median", "90 %"))
    return f"{median} | {most} | {row['found']:.0%} | {row['before the shift']} of {LIVES}"


def table(found: dict[str, Any]) -> str:
    lines = [
        "# Drift: does the calibration still hold?\n",
        f"## Normal years that alarm: {YEARS:,} simulated years of {DAY * DAYS:,} cases each\n",
        f"Promised: at most {FALSE_ALARM:.0%} in the whole life of a monitor. Abnormal cases score {ABNORMAL_SHIFT:g} "
        "healthy standard deviations higher; the monitor allows for a share of them, by default "
        f"{ABNORMAL_SHARE:.0%}. In brackets: exact 95 % intervals.\n",
        "| calibration images | abnormal cases | allowed for | ranked among | years with an alarm |",
        "|---|---|---|---|---|",
    ]
    for row in found["years"]:
        rate = "{:.1%} [{:.1%}, {:.1%}]".format(*row["rate"])
        lines.append(f"| {row['n']} | {row['abnormal']:.0%} | {row['share']:.0%} | {row['among']} | {rate} |")
    ends = "| cases to the alarm, median | 90 % within | found | alarms before the shift |"
    lines += [
        f"\n## Delay, simulated: {LIVES} lives each, {WAIT} cases after the shift\n",
        "Shifts of the mean in healthy standard deviations.\n",
        f"| calibration images | normal cases before | shift | allowed for {ends}",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["delays"]:
        lines.append(f"| {row['n']} | {row['before']} | {row['shift']:+g} | {row['share']:.0%} | {cells(row)} |")
    lines += [
        f"\n## Delay, real scores: healthy malaria cells as another site would image them, {LIVES} lives each\n",
        f"Calibration and cases are drawn with replacement from the scores of {found['images']} healthy images; the "
        "site changes after 1000 cases. Flagged: the share of healthy images above the home's 95 % quantile, which a "
        "calibration that held would keep at 5 %.\n",
        f"| site | calibration images | shift of the mean | flagged | allowed for {ends}",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["real"]:
        start = f"| {row['site']} | {row['n']} | {row['shift']:+.2f} | {row['flagged']:.0%} | {row['share']:.0%} |"
        lines.append(f"{start} {cells(row)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if not SCORES.is_file():
        raise SystemExit(f"{SCORES}: not scored yet; run calibration.py first")
    kept = json.loads(SCORES.read_text(encoding="utf-8"))["kept"]
    found: dict[str, Any] = {
        "years": false_alarms(),
        "delays": simulated_delays(),
        "images": int((np.array(kept["labels"]) == 0).sum()),
        "real": real_delays(kept),
    }
    (RESULTS / "drift.json").write_text(json_text(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "drift.md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
