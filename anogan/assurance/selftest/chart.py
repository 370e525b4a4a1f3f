"""The self-test as a picture: a table of sizes and contrasts, the darker the more was found. SVG, without a library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CELL, LEFT, TOP, GAP = 84, 96, 86, 60
INK = "#17252f"
LOW, HIGH = (245, 248, 250), (0, 86, 138)  # of the sensitivity


def draw(test: Mapping[str, Any]) -> str:
    """Return the chart of a self-test, given as `SelfTest.to_json` returns it."""
    sizes, contrasts = test["sizes"], test["contrasts"]
    families = list(dict.fromkeys(cell["family"] for cell in test["cells"]))
    panel = LEFT + CELL * len(contrasts) + GAP
    width, height = panel * len(families), TOP + CELL * len(sizes) + 70
    verdict = "passed" if test["passed"] else "FAILED"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}" text-anchor="middle">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(16, 26, f"Self-test {verdict}: share of synthetic anomalies found", 'text-anchor="start" font-size="17"'),
    ]
    for index, family in enumerate(families):
        left = index * panel + LEFT
        parts.append(_text(left, TOP - 34, f"{family} kinds", 'text-anchor="start" font-weight="bold"'))
        for column, contrast in enumerate(contrasts):
            parts.append(_text(left + CELL * (column + 0.5), TOP - 10, f"{contrast:.0%}"))
        for row, size in enumerate(sizes):
            y = TOP + CELL * (row + 0.5)
            parts.append(_text(left - 10, y, f"{size:.0%}", 'text-anchor="end"'))
            if test["millimeters"]:
                parts.append(_text(left - 10, y + 17, f"{test['millimeters'][row]:.1f} mm", 'text-anchor="end"'))
        for cell in (cell for cell in test["cells"] if cell["family"] == family):
            x, y = left + CELL * contrasts.index(cell["contrast"]), TOP + CELL * sizes.index(cell["size"])
            parts.append(_cell(x, y, cell))
        bottom = TOP + CELL * len(sizes)
        parts.append(_text(left + CELL * len(contrasts) / 2, bottom + 22, "contrast, of the image range"))
        middle = TOP + CELL * len(sizes) / 2
        turned = f'transform="rotate(-90 {left - 78} {middle})"'
        parts.append(_text(left - 78, middle, "diameter, of the side", turned))
    rate = test["false_alarms"]["rate"]
    alarms = "not measured" if rate is None else "{:.3f} [{:.3f}, {:.3f}]".format(*rate)
    allowed = test["false_alarms"]["allowed"]
    note = (
        f"In brackets: 95 % intervals. False alarms on healthy test images: {alarms}; promised: at most {allowed:.3f}."
    )
    parts.append(_text(16, height - 16, note, 'text-anchor="start"'))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: float, y: float, cell: Mapping[str, Any]) -> str:
    if cell["sensitivity"] is None:
        fill, ink, lines = "#ffffff", INK, ["none made"]
    else:
        value, low, high = cell["sensitivity"]
        fill = "#" + "".join(f"{round(a + (b - a) * value):02x}" for a, b in zip(LOW, HIGH, strict=True))
        ink = "#ffffff" if value > 0.75 else INK
        lines = [f"{value:.0%}", f"[{low:.0%}, {high:.0%}]", f"{cell['found']} of {cell['made']}"]
    box = f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="white" stroke-width="2"/>'
    first = y + CELL / 2 - 8 * (len(lines) - 1) + 4
    sizes = (17, 11, 11) if len(lines) == 3 else (11,)
    words = [
        _text(x + CELL / 2, first + 18 * k, line, f'fill="{ink}" font-size="{size}"')
        for k, (line, size) in enumerate(zip(lines, sizes, strict=True))
    ]
    return "\n".join([box, *words])


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" {style}>{words}</text>'
