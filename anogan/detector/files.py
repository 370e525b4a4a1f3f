"""The files of a run folder that hold its detector: `profile.toml`, `detector.safetensors` and `detector.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anogan import checkpoint
from anogan.calibration import Calibration
from anogan.config import Config, load_config
from anogan.detector.native import NativeScale
from anogan.networks import Networks
from anogan.reference import Reference
from anogan.scoring import Fusion

FORMAT = 4


def pack(networks: Networks, reference: Reference, fusion: Fusion, native: NativeScale | None) -> dict[str, Tensor]:
    """Return all tensors of a detector."""
    weights: dict[str, Tensor] = {}
    for name, network in vars(networks).items():
        weights |= checkpoint.pack(name, network)
    return weights | reference.tensors() | fusion.tensors() | ({} if native is None else native.tensors())


def write(folder: Path, config: Config, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> None:
    """Write the three files; `described` is what stands in `detector.json` beside the hashes of the two others."""
    text = config.to_toml()
    checkpoint.write_text(folder / "profile.toml", text)
    digest = checkpoint.write_tensors(folder / "detector.safetensors", tensors)
    hashes = {"sha256": digest, "profile_sha256": hashlib.sha256(text.encode()).hexdigest()}
    checkpoint.write_json(folder / "detector.json", {"format": FORMAT, **hashes, **described})


def read(folder: Path) -> dict[str, Any]:
    """Return the fields of the `Detector` in a run folder; raise as `Detector.load` does."""
    if not (folder / "detector.json").is_file():
        unfinished = (folder / "training" / "state.json").is_file()
        raise ValueError(
            f"{folder}: training was interrupted; finish it with --resume"
            if unfinished
            else f"{folder}: not a run folder of anogan (it has no detector.json)"
        )
    described = checkpoint.read_json(folder / "detector.json")
    if described.get("format") != FORMAT:
        raise ValueError(
            f"{folder}: written by another version of anogan (format {described.get('format')}); train again"
        )
    profile = folder / "profile.toml"
    text = profile.read_bytes() if profile.is_file() else b""
    if hashlib.sha256(text).hexdigest() != described.get("profile_sha256"):
        raise ValueError(f"{profile}: missing or altered since training; restore it or train again")
    config = load_config(profile)
    path = folder / described.get("weights", "detector.safetensors")  # those of a promoted version: anogan.feedback
    tensors = checkpoint.read_tensors(path, described.get("sha256"))
    networks = Networks.build(config)
    for name, network in vars(networks).items():
        checkpoint.unpack(name, tensors, network, path)
        network.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    try:
        low, high = (float(value) for value in described["map_range"])
        return {
            "config": config,
            "networks": networks,
            "reference": Reference.from_tensors(tensors),
            "fusion": Fusion.from_tensors(tensors, config.scoring.top),
            "native": NativeScale.from_tensors(tensors),
            "map_range": (low, high),
            "provenance": described["provenance"],
            "calibration": _point(described["calibration"], "images"),
            "series_calibration": _point(described.get("series_calibration"), "series"),  # older folders have none
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}: damaged run folder ({error}); restore it or train again") from None


def _point(described: dict[str, Any] | None, unit: str) -> Calibration | None:
    return None if described is None else replace(Calibration.from_json(described), unit=unit)
