"""Which cases of a long list stand out when many are tested at once."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import false_discovery_control


def discoveries(p_values: Sequence[float | None], rate: float) -> list[bool | None]:
    """Return which cases of a work list Benjamini and Hochberg's procedure selects.

    Of the selected cases a share of at most `rate` is expected to be healthy. Conformal p-values of one calibration set
    depend on each other in the way that the procedure allows (Bates et al., Testing for outliers with conformal
    p-values, Annals of Statistics 2023, theorem 2). As no p-value is below 1 / (n + 1), n calibration images can select
    k of m cases only if k * rate / m is not below it either.

    Parameters
    ----------
    p_values
        (m,) of the work list; None where a case has none, which then is not decided either.
    rate
        The false discovery rate, in (0, 1).

    Examples
    --------
    >>> discoveries([0.04, 0.01, None, 0.9], 0.1)
    [True, True, None, False]
    """
    if not 0 < rate < 1:
        raise ValueError(f"false discovery rate: expected a number between 0 and 1, got {rate}")
    known = [p for p in p_values if p is not None]
    selected = iter(false_discovery_control(known) <= rate + 1e-12) if known else iter(())
    return [None if p is None else bool(next(selected)) for p in p_values]
