"""Is training improving, stagnating or degrading, and which snapshot is the best?

At every snapshot the averaged networks are looked at through held-out healthy images, without a label. No figure is
taken from an abnormal image, so the verdict is one that a user who has none can have as well. The snapshot is chosen by
how well the discriminator finds local fakes of kinds it was never taught, not by how good the generated images look:
the best generator and the best detector are seldom of the same step (AUCp, IEEE TMI 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import theilslopes
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import polynomial_kernel
from torch import Tensor

from anogan.config import Config
from anogan.gan.blur import gaussian_blur
from anogan.gan.local_fakes import UNSEEN, local_fakes
from anogan.gan.losses import pixel_residual, top_mean
from anogan.gan.networks import Generator, Networks, Trunk

TOP = 0.01  # of the discriminator's map: its mean is the score of an image here
IMAGES = 128  # at most, of training and of held-out images: a snapshot should cost about two seconds
HELD = "held-out images"  # how many a reading rests on
LEAST = 1e-9  # of what is divided by: held-out images that are all the same have no distances
WINDOW = 8  # snapshots that a trend looks back
EARLIEST = 5  # fewer snapshots say nothing
DEGRADING, STAGNATING = 2, 5  # verdicts in a row that end a phase

Word = Literal["too early", "improving", "stagnating", "degrading"]
Reading = dict[str, float]  # the figures of one snapshot by name, beside "step"


@dataclass(frozen=True)
class Signal:
    """A figure whose course tells something.

    Attributes
    ----------
    better
        +1: more is better, -1: less is better.
    tolerance
        A smaller change over the window counts as none; relative where `relative`.
    """

    better: int
    tolerance: float
    relative: bool = False


SIGNALS: dict[str, dict[str, Signal]] = {
    "adversarial": {
        "AUROC on unseen kinds of fakes": Signal(+1, 0.005),
        "KID": Signal(-1, 0.1, relative=True),
        "gap of the discriminator": Signal(-1, 0.2),
        "diversity": Signal(+1, 0.1),
        "distance from training images": Signal(+1, 0.1),
    },
    "encoder": {
        "inversion error, held-out": Signal(-1, 0.02, relative=True),
        "inversion gap": Signal(-1, 0.1),
    },
}
# What the best snapshot of a phase is the best in.
CRITERION = {"adversarial": "AUROC on unseen kinds of fakes", "encoder": "inversion error, held-out"}


@dataclass(frozen=True)
class Verdict:
    """What the snapshots of a phase say together."""

    word: Word
    reason: str
    best: int  # step of the best snapshot

    def __str__(self) -> str:
        return f"{self.word} ({self.reason}); best snapshot: step {self.best}"


class Progress:
    """Holds the images and the fixed features that every snapshot is compared with.

    Parameters
    ----------
    train, holdout
        Healthy images, (N, C, S, S) and (M, C, S, S) in [-1, 1]; at most `IMAGES` of each are used.
    config
        The profile.
    """

    def __init__(self, train: Tensor, holdout: Tensor, config: Config) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.training.seed)
            self.train = train[torch.randperm(len(train))[:IMAGES].to(train.device)]
            self.holdout = holdout[:IMAGES]
            torch.manual_seed(0)
            # Untrained, so that it favors no network of the run: random features see texture and shape well enough
            # to tell two heaps of images apart.
            self.extractor = Trunk(config.input.channels, config.input.size, 16).to(holdout.device)
            self.extractor.eval().requires_grad_(False)
            torch.manual_seed(1)
            # A few held-out images stand for more: each is faked several times.
            repeated = self.holdout.repeat(-(-IMAGES // len(self.holdout)), 1, 1, 1)[:IMAGES]
            self.fakes = [local_fakes(repeated, config.local_fakes, (kind,))[0] for kind in UNSEEN]
        self.scale = self._features(self.holdout).std(0) + 1e-6
        self.of_train, self.of_holdout = (self._features(x) / self.scale for x in (self.train, self.holdout))

    @torch.no_grad()
    def read(self, networks: Networks, phase: str) -> Reading:
        """Return the figures of a snapshot by name."""
        return self._adversarial(networks) if phase == "adversarial" else self._encoder(networks)

    def _adversarial(self, networks: Networks) -> Reading:
        discriminator = networks.discriminator
        normal = self._scores(networks, self.holdout)
        unseen = [_auroc(normal, self._scores(networks, fakes)) for fakes in self.fakes]
        images = [_in_batches(discriminator.judge_image, x) for x in (self.train, self.holdout)]
        generated = self._features(self._draw(networks.generator)) / self.scale
        return {
            CRITERION["adversarial"]: float(np.mean(unseen)),
            "KID": kid(generated, self.of_holdout),
            # In held-out deviations: a discriminator that knows its training images by heart finds them more real.
            "gap of the discriminator": float((images[0].mean() - images[1].mean()) / (images[1].std() + 1e-6)),
            "diversity": float(torch.pdist(generated).mean() / (torch.pdist(self.of_holdout).mean() + LEAST)),
            "distance from training images": nearest_ratio(generated, self.of_holdout, self.of_train),
            HELD: float(len(self.holdout)),
        }

    def _encoder(self, networks: Networks) -> Reading:
        def error(x: Tensor) -> float:
            return float(_in_batches(lambda b: pixel_residual(b, networks.generator(networks.encoder(b))), x).mean())

        train, held = error(self.train), error(self.holdout)
        return {
            CRITERION["encoder"]: held,
            "inversion error, training": train,
            "inversion gap": held / max(train, 1e-6) - 1,
        }

    def _scores(self, networks: Networks, x: Tensor) -> Tensor:
        def score(batch: Tensor) -> Tensor:
            maps = gaussian_blur(F.softplus(networks.discriminator(batch).pixels), 1.0)
            return top_mean(maps, TOP)

        return _in_batches(score, x)

    def _draw(self, generator: Generator) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)  # the same latents at every snapshot
            latents = torch.randn(len(self.holdout), self.config.network.latent).to(self.holdout)
        return _in_batches(generator, latents)

    @torch.no_grad()
    def _features(self, x: Tensor) -> Tensor:
        """Return the mean and the deviation of every channel of every level, (N, D)."""

        def pooled(batch: Tensor) -> Tensor:
            levels = self.extractor(batch)
            return torch.cat([f(level) for level in levels for f in (_mean, _deviation)], dim=1)

        return _in_batches(pooled, x)


def _mean(level: Tensor) -> Tensor:
    return level.mean((2, 3))


def _deviation(level: Tensor) -> Tensor:
    return level.flatten(2).std(2)


def _in_batches(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([function(batch).float() for batch in x.split(64)])


def _auroc(normal: Tensor, odd: Tensor) -> float:
    labels = [0] * len(normal) + [1] * len(odd)
    return float(roc_auc_score(labels, torch.cat([normal, odd]).cpu().numpy()))


def kid(generated: Tensor, real: Tensor) -> float:
    """Return the kernel distance of two heaps of features, (N, D) and (M, D): 0 when they are alike, by expectation.

    The unbiased squared maximum mean discrepancy with the kernel (x y / D + 1)^3 (KID: Bińkowski et al., ICLR 2018).
    """
    x, y = generated.double().cpu().numpy(), real.double().cpu().numpy()
    n, m = len(x), len(y)
    within_x, within_y = polynomial_kernel(x), polynomial_kernel(y)
    across = polynomial_kernel(x, y).mean()
    of_x = (within_x.sum() - np.trace(within_x)) / (n * (n - 1))
    of_y = (within_y.sum() - np.trace(within_y)) / (m * (m - 1))
    return float(of_x + of_y - 2 * across)


def nearest_ratio(generated: Tensor, holdout: Tensor, train: Tensor) -> float:
    """Return how far generated images lie from the nearest training image, as a share of how far held-out ones do.

    Well below 1, the generator has learned training images by heart.
    """
    of_generated, of_holdout = (torch.cdist(x, train).amin(1).median() for x in (generated, holdout))
    return float(of_generated / (of_holdout + LEAST))


def trend(values: Sequence[float], signal: Signal) -> int:
    """Return +1 where a signal gets better, -1 where it gets worse, 0 where neither is certain.

    The slope is Theil's and Sen's (the median of the slopes of all pairs), with its 95 % interval; it is certain when
    zero is not inside, and counts when the change over the window is more than the signal's tolerance.
    """
    if len(values) < 3:
        return 0
    slope, _, low, high = theilslopes(values, alpha=0.95)
    least = signal.tolerance * (abs(float(np.median(values))) if signal.relative else 1.0)
    if low <= 0 <= high or abs(slope) * (len(values) - 1) < least:
        return 0
    return signal.better * int(np.sign(slope))


def best_step(readings: Sequence[Reading], phase: str) -> int:
    """Return the step of the best snapshot.

    In the first phase it is the latest of those that are not worse than the best for certain: within
    0.25 / sqrt(held-out images), roughly two standard errors of the difference of two snapshots.
    """
    name = CRITERION[phase]
    values = [SIGNALS[phase][name].better * reading[name] for reading in readings]
    least = max(values) - (0.25 / readings[-1].get(HELD, IMAGES) ** 0.5 if phase == "adversarial" else 0.0)
    return max(int(reading["step"]) for reading, value in zip(readings, values, strict=True) if value >= least)


def judge(readings: Sequence[Reading], phase: str) -> Verdict:
    """Say where a phase is going: two signals have to agree, and more of them than disagree.

    Parameters
    ----------
    readings
        The figures of the phase's snapshots so far, oldest first, each with its "step".
    phase
        "adversarial" or "encoder".
    """
    best = best_step(readings, phase)
    if len(readings) < EARLIEST:
        return Verdict("too early", f"{len(readings)} of {EARLIEST} snapshots", best)
    window = readings[-WINDOW:]
    trends = {name: trend([r[name] for r in window], signal) for name, signal in SIGNALS[phase].items()}
    better, worse = ([name for name, sign in trends.items() if sign == way] for way in (+1, -1))
    words = [f"{what}: {', '.join(names)}" for what, names in (("better", better), ("worse", worse)) if names]
    reason = "; ".join(words) or "no signal changes for certain"
    if len(better) >= 2 and len(better) > len(worse):
        return Verdict("improving", reason, best)
    if len(worse) >= 2 and len(worse) > len(better):
        return Verdict("degrading", reason, best)
    return Verdict("stagnating", reason, best)


def should_stop(readings: Sequence[Reading], phase: str) -> bool:
    """Tell whether going on is pointless.

    It is when two verdicts in a row say degrading, or five in a row do not say improving while the figure that the
    best snapshot is chosen by does not improve either.
    """
    first = max(EARLIEST, len(readings) - STAGNATING + 1)
    verdicts = [judge(readings[:count], phase).word for count in range(first, len(readings) + 1)]
    if len(verdicts) >= DEGRADING and all(word == "degrading" for word in verdicts[-DEGRADING:]):
        return True
    name = CRITERION[phase]
    flat = trend([reading[name] for reading in readings[-WINDOW:]], SIGNALS[phase][name]) <= 0
    return flat and len(verdicts) == STAGNATING and "improving" not in verdicts
