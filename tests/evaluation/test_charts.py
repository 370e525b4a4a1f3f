"""Charts: values stand where they should, and words cannot break out of the drawing."""

import re

import pytest

from anogan.evaluation.charts import Plot, linear, percent, probit


def test_values_stand_at_their_share_of_the_axis() -> None:
    plot = Plot(percent("x"), percent("y"))
    assert plot.across(0.25) == pytest.approx(plot.left + 0.25 * (plot.right - plot.left))
    assert plot.up(0.25) == pytest.approx(plot.bottom - 0.25 * (plot.bottom - plot.top))
    assert plot.across(7) == plot.right  # beyond the axis is its end
    assert plot.up(-7) == plot.bottom


def test_a_det_axis_is_straight_in_normal_deviates() -> None:
    axis = probit("miss rate")
    at = [axis.share(rate) for rate in (0.0227501319, 0.1586552539, 0.5, 0.8413447461)]  # -2, -1, 0, 1 deviates
    steps = [b - a for a, b in zip(at, at[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert (axis.share(0.0), axis.share(1.0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 1, "0 0.2 0.4 0.6 0.8 1"),
        (-3, 8, "\u22122 0 2 4 6 8"),
        (0, 0.0011, "0 0.0002 0.0004 0.0006 0.0008 0.001"),
    ],
)
def test_ticks_are_round(low: float, high: float, words: str) -> None:
    ticks = linear("", low, high).ticks
    assert " ".join(word for _, word in ticks) == words
    assert all(low <= value <= high + 1e-12 for value, _ in ticks)


def test_words_are_escaped() -> None:
    plot = Plot(percent('<b>"x"</b>'), percent("y"))
    plot.text(0.5, 0.5, "<script>")
    plot.row(0.5, "a & b")
    drawing = plot.svg('"><script>alert(1)</script>')
    assert not re.search("<(script|b)", drawing)
    assert "a &amp; b" in drawing
    assert drawing.count('"') % 2 == 0
