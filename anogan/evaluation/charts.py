"""Charts as SVG text. Colors are Okabe and Ito's, safe for color-blind readers; whatever color tells, form tells too.

Sizes are in units of the drawing, which the page scales to its column; the page's style sheet knows the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape
from scipy.stats import norm

HEALTHY, ABNORMAL, INK = "#0072b2", "#d55e00", "#17252f"


class Scale(NamedTuple):
    """An axis: its ends, its ticks with their words, and what makes it straight."""

    title: str
    low: float
    high: float
    ticks: list[tuple[float, str]]
    straighten: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Return how far along the axis a value stands, in [0, 1]; one beyond it stands at its end."""
        low, high, at = (self.straighten(one) for one in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)


def percent(title: str) -> Scale:
    """Return an axis of shares from 0 to 1."""
    return Scale(title, 0.0, 1.0, [(k / 5, f"{20 * k} %") for k in range(6)])


def probit(title: str) -> Scale:
    """Return the axis of a DET curve: normal deviates, on which two Gaussians of scores give a straight line."""
    ticks = [0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    low, high = 0.003, 0.9
    words = [(tick, f"{100 * tick:g} %") for tick in ticks]
    return Scale(title, low, high, words, lambda value: float(norm.ppf(min(max(value, low), high))))


def linear(title: str, low: float, high: float) -> Scale:
    """Return an axis with round ticks."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    ticks = [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return Scale(title, low, high, [(tick, f"{tick:.6g}".replace("-", "\u2212")) for tick in ticks])


class Plot:
    """A frame with two axes, to which marks are added one over the other."""

    def __init__(self, x: Scale, y: Scale, *, width: int = 420, height: int = 340, left: int = 56) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self.left, self.right, self.top, self.bottom = left, width - 22, 14, height - 46
        self.marks: list[str] = []
        for value, words in x.ticks:
            at = self.across(value)
            self.marks.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{self.top}" y2="{self.bottom}"/>')
            self.marks.append(
                f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{self.bottom + 16}">{words}</text>'
            )
        for value, words in y.ticks:
            at = self.up(value)
            self.marks.append(f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            self.marks.append(
                f'<text class="tick" text-anchor="end" x="{self.left - 6}" y="{at + 4:.1f}">{words}</text>'
            )
        middle = (self.top + self.bottom) / 2
        self.marks.append(
            f'<text class="axis" text-anchor="middle" x="{(self.left + self.right) / 2}" y="{height - 8}">'
            f"{escape(x.title)}</text>"
            f'<text class="axis" text-anchor="middle" transform="translate(13 {middle}) rotate(-90)">'
            f"{escape(y.title)}</text>"
        )

    def across(self, value: float) -> float:
        """Return where a value of x stands in the drawing; one beyond the axis stands at its end."""
        return self.left + self.x.share(value) * (self.right - self.left)

    def up(self, value: float) -> float:
        """Return where a value of y stands in the drawing; one beyond the axis stands at its end."""
        return self.bottom - self.y.share(value) * (self.bottom - self.top)

    def _points(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self.across(a):.1f},{self.up(b):.1f}" for a, b in zip(x, y, strict=True))

    def line(self, x: Sequence[float], y: Sequence[float], color: str, dash: str = "", width: float = 2) -> None:
        """Join points."""
        self.marks.append(
            f'<polyline fill="none" stroke="{color}" stroke-width="{width}" stroke-dasharray="{dash}" '
            f'points="{self._points(x, y)}"/>'
        )

    def steps(self, x: Sequence[float], y: Sequence[float], color: str) -> None:
        """Join points by going across first, then up or down."""
        self.line(np.repeat(x, 2)[1:].tolist(), np.repeat(y, 2)[:-1].tolist(), color)

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> None:
        """Shade what lies between two curves."""
        points = self._points([*x, *x[::-1]], [*low, *high[::-1]])
        self.marks.append(f'<polygon fill="{color}" fill-opacity="0.18" points="{points}"/>')

    def box(self, x: tuple[float, float], y: tuple[float, float], color: str, words: str = "") -> None:
        """Fill a rectangle; `words` are shown where the pointer rests on it."""
        left, right, top, bottom = self.across(x[0]), self.across(x[1]), self.up(max(y)), self.up(min(y))
        self.marks.append(
            f'<rect fill="{color}" fill-opacity="0.8" x="{left:.1f}" y="{top:.1f}" '
            f'width="{max(right - left - 0.6, 0.4):.1f}" height="{bottom - top:.1f}">'
            f"{f'<title>{escape(words)}</title>' if words else ''}</rect>"
        )

    def dot(self, x: float, y: float, color: str, hollow: bool = False) -> None:
        """Mark a point."""
        self.marks.append(
            f'<circle cx="{self.across(x):.1f}" cy="{self.up(y):.1f}" r="4.5" fill="{"white" if hollow else color}" '
            f'stroke="{color}" stroke-width="2"/>'
        )

    def cross(self, x: tuple[float, float, float], y: tuple[float, float, float], words: str) -> None:
        """Mark a point (value, low, high) with the intervals of both its places."""
        for xs, ys in (((x[1], x[2]), (y[0], y[0])), ((x[0], x[0]), (y[1], y[2]))):
            self.line(xs, ys, INK, width=1.5)
        at, up = self.across(x[0]), self.up(y[0])
        self.marks.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="5" fill="{INK}" stroke="white" stroke-width="1.5"/>')
        anchor, aside = ("start", 10) if at < (self.left + self.right) / 2 else ("end", -10)
        self.text_at(at + aside, up + (18 if up < self.bottom - 26 else -10), words, anchor)

    def text(self, x: float, y: float, words: str, anchor: str = "start", color: str = INK) -> None:
        """Write at a place of the axes."""
        self.text_at(self.across(x), self.up(y), words, anchor, color)

    def row(self, y: float, words: str) -> None:
        """Name a row, left of the frame."""
        self.marks.append(
            f'<text class="row" text-anchor="end" x="{self.left - 12}" y="{self.up(y) + 4:.1f}">{escape(words)}</text>'
        )

    def text_at(self, at: float, up: float, words: str, anchor: str = "start", color: str = INK) -> None:
        """Write at a place of the drawing."""
        self.marks.append(
            f'<text class="label" text-anchor="{anchor}" fill="{color}" x="{at:.1f}" y="{up:.1f}">'
            f"{escape(words)}</text>"
        )

    def svg(self, words: str) -> Markup:
        """Return the drawing; `words` say what it shows to those who cannot see it."""
        return Markup(
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(words)}">'
            f"{''.join(self.marks)}</svg>"
        )
