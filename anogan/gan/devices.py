"""Where the networks run: one process or many, CPU or GPU, and the precision that machine is quick in."""

from __future__ import annotations

import os

import lightning_fabric
import torch

from anogan.config import Config


def has_bfloat16() -> bool:
    """Return whether this machine multiplies bfloat16 matrices in hardware (AMX or AVX-512, or a GPU that does)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def make_fabric(config: Config) -> lightning_fabric.Fabric:
    """Return the Fabric of this process; under torchrun it joins the others (gloo on CPUs, nccl on GPUs)."""
    precision = config.training.precision
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16() else "float32"
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))  # set by torchrun
    return lightning_fabric.Fabric(
        accelerator="auto",
        strategy="ddp" if world > 1 else "auto",
        devices=local,
        num_nodes=world // local,
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
    )
