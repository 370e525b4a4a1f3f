"""From a scan to what a network takes, if the profile accepts it: the gate, then the grid."""

from __future__ import annotations

import numpy as np

from anogan.config import Config
from anogan.data import gate, transforms
from anogan.scan import Scan


def prepare(scan: Scan, config: Config) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the image on the network's grid, (C, S, S) float32 in [-1, 1], and what is noted of it.

    Nothing else brings an image that is to be judged, or learned from, before a network.

    Raises
    ------
    ValueError
        The profile does not accept it, see `anogan.data.gate.check`.
    """
    notes = gate.check(scan, config)
    return transforms.to_network(scan, config.input), notes


def prepared_or_error(scan: Scan, config: Config) -> tuple[np.ndarray, tuple[str, ...]] | ValueError:
    """Return what `prepare` returns or raises, so that a batch goes on past it."""
    try:
        return prepare(scan, config)
    except ValueError as error:
        return error
