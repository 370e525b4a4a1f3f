"""Evidence by example: which healthy images look most like an image, by the healthy patches nearest to its own.

They are those that trained, and those that readers dismissed and `anogan.assurance.feedback` let in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from anogan.detector.components import in_fours
from anogan.detector.reference import Reference
from anogan.gan.networks import Networks

MOST = 3


@torch.no_grad()
def nearest_images(
    images: Tensor, networks: Networks, reference: Reference, order: Sequence[str]
) -> list[dict[str, float]]:
    """Return `Result.nearest` of each image: the share of its places, by healthy image, the largest first.

    Parameters
    ----------
    images
        (N, C, S, S) in [-1, 1].
    order
        Names of the images in the order in which the healthy bank counts them; empty in a detector of before it was
        noted, which then has no examples.
    """
    if not order or reference.bank.origin is None:
        return [{} for _ in images]
    found = []
    for batch, count in in_fours(images):
        features = networks.discriminator(batch.contiguous(memory_format=torch.channels_last)).features
        for places in reference.nearest(features).flatten(1)[:count]:
            counts = np.bincount(places.numpy(), minlength=len(order))[: len(order)]
            first = np.argsort(-counts, kind="stable")[:MOST]
            found.append({order[image]: float(counts[image]) / places.numel() for image in first if counts[image]})
    return found
