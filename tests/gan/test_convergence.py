"""Trends and verdicts worked out by hand; the figures against their definitions."""

import numpy as np
import pytest
import torch

from anogan import load_config
from anogan.gan import convergence
from anogan.gan.convergence import Signal, best_step, judge, kid, nearest_ratio, should_stop, trend
from anogan.gan.networks import Networks

NAMES = list(convergence.SIGNALS["adversarial"])


def readings(count: int, **slopes: float) -> list[convergence.Reading]:
    """Snapshots whose signals go up by so much at each."""
    rates = dict(zip(("auroc", "kid", "gap", "diversity", "distance"), NAMES, strict=True))
    return [
        {"step": 100.0 * (k + 1), **{name: 0.5 + slopes.get(key, 0.0) * k for key, name in rates.items()}}
        for k in range(count)
    ]


def test_a_trend_needs_certainty_and_size() -> None:
    signal = Signal(+1, 0.1)
    assert trend([0, 0.1, 0.2, 0.3, 0.4], signal) == 1
    assert trend([0, 0.01, 0.02, 0.03, 0.04], signal) == 0  # certain, but less than 0.1 in all
    assert trend([0, 0.9, 0.1, 0.8, 0.2], signal) == 0  # large, but up and down
    assert trend([0.4, 0.3, 0.2, 0.1, 0], signal) == -1
    assert trend([0.4, 0.3, 0.2, 0.1, 0], Signal(-1, 0.1)) == 1
    assert trend([100, 104, 108, 112, 116], Signal(+1, 0.2, relative=True)) == 0
    assert trend([100, 110, 120, 130, 140], Signal(+1, 0.2, relative=True)) == 1


def test_one_outlier_does_not_turn_a_trend() -> None:
    assert trend([0, 0.1, 0.2, 0.3, -5, 0.5, 0.6, 0.7], Signal(+1, 0.1)) == 1


def test_two_signals_have_to_agree() -> None:
    assert judge(readings(4, auroc=0.05, kid=-0.05), "adversarial").word == "too early"
    assert judge(readings(6, auroc=0.05, kid=-0.05), "adversarial").word == "improving"
    assert judge(readings(6, auroc=0.05), "adversarial").word == "stagnating"
    assert judge(readings(6, auroc=-0.05, gap=0.2), "adversarial").word == "degrading"
    verdict = judge(readings(6, auroc=0.05, kid=-0.05, gap=0.2, distance=-0.1), "adversarial")
    assert verdict.word == "stagnating"
    assert verdict.reason == (
        "better: AUROC on unseen kinds of fakes, KID; worse: gap of the discriminator, distance from training images"
    )


def test_the_best_snapshot() -> None:
    up, down = readings(6, auroc=0.05), readings(6, auroc=-0.05)
    assert best_step(up, "adversarial") == 600
    assert best_step(down, "adversarial") == 100
    assert best_step(readings(6), "adversarial") == 600  # of equals the latest
    nearly = readings(6, auroc=-0.01)  # 0.48 at step 300, 0.47 at 400: 0.25 / sqrt(128) is 0.022
    assert best_step(nearly, "adversarial") == 300
    few = [{**reading, convergence.HELD: 4.0} for reading in readings(6, auroc=-0.05)]  # within 0.125: 0.45 and 0.4
    assert best_step(few, "adversarial") == 300
    encoder = [{"step": float(k), "inversion error, held-out": abs(k - 3.0)} for k in range(6)]
    assert best_step(encoder, "encoder") == 3


@pytest.mark.parametrize(
    ("count", "slopes", "stops"),
    [
        (5, {"auroc": -0.05, "gap": 0.2}, False),  # degrading once
        (6, {"auroc": -0.05, "gap": 0.2}, True),  # twice
        (8, {}, False),  # stagnating four times
        (9, {}, True),  # five times
        (12, {"auroc": 0.05}, False),  # nothing agrees, but the detector still gets better
        (12, {"auroc": 0.05, "kid": -0.05}, False),
    ],
)
def test_when_to_stop(count: int, slopes: dict[str, float], stops: bool) -> None:
    assert should_stop(readings(count, **slopes), "adversarial") == stops


def test_kid_by_hand() -> None:
    """Two points each in one dimension, kernel (x y + 1)^3."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    within_x, within_y, across = 1.0, 1.0, (1 + 1 + 1 + 27) / 4
    assert kid(x, y) == pytest.approx(within_x + within_y - 2 * across)


def test_kid_of_alike_is_about_zero_and_of_unlike_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 8, generator=generator) for _ in range(2))
    assert abs(kid(a, b)) < 0.1
    assert kid(a, b + 1) > 1


def test_learned_by_heart() -> None:
    generator = torch.Generator().manual_seed(0)
    train, held = (torch.randn(100, 4, generator=generator) for _ in range(2))
    assert nearest_ratio(train.clone(), held, train) == pytest.approx(0, abs=1e-3)
    assert nearest_ratio(torch.randn(100, 4, generator=generator), held, train) == pytest.approx(1, abs=0.2)


def test_a_reading_looks_at_every_signal_and_draws_nothing_from_the_global_generator() -> None:
    config = load_config("tiny")
    x = torch.rand(20, 1, 32, 32) * 2 - 1
    torch.manual_seed(0)
    networks = Networks.build(config)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    watching = convergence.Progress(x[:14], x[14:], config)
    found = [{phase: watching.read(networks, phase) for phase in convergence.SIGNALS} for _ in range(2)]
    assert torch.equal(torch.rand(3), expected)
    assert found[0] == found[1]
    for phase, signals in convergence.SIGNALS.items():
        assert signals.keys() <= found[0][phase].keys()
        assert all(np.isfinite(list(found[0][phase].values())))
