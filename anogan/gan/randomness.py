"""Random numbers that leave the caller's as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """Let what is inside (or the function that this decorates) seed torch as it likes; afterwards all is as before."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
