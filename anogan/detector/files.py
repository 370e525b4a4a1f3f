"""The files of a run folder that hold its detector: `profile.toml`, `detector.safetensors` and `detector.json`.

`detector.json` names the weights that it belongs to where these are other ones than `detector.safetensors`: those of a
promoted version (anogan.assurance.feedback), or, while a detector takes the place of another,
`detector-HASH.safetensors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anogan.config import Config, load_config
from anogan.detector.calibration import Calibration
from anogan.detector.fusion import Fusion
from anogan.detector.native import NativeScale
from anogan.detector.reference import Reference
from anogan.gan.networks import Networks
from anogan.storage import checkpoint
from anogan.storage.atomic import write_bytes

FORMAT = 5
WEIGHTS = "detector.safetensors"


def pack(networks: Networks, reference: Reference, fusion: Fusion, native: NativeScale | None) -> dict[str, Tensor]:
    """Return all tensors of a detector."""
    weights: dict[str, Tensor] = {}
    for name, network in vars(networks).items():
        weights |= checkpoint.pack(name, network)
    return weights | reference.tensors() | fusion.tensors() | ({} if native is None else native.tensors())


def write(folder: Path, config: Config, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> None:
    """Write the three files; `described` is what stands in `detector.json` beside the hashes of the two others.

    A detector that stands there is replaced at once by the writing of `detector.json`: killed before it, the old one
    can be loaded, killed after it, the new one. Where the profile says something else, there is a moment of neither.
    """
    text, path = config.to_toml(), folder / "detector.json"
    if not _says(folder / "profile.toml", config):
        checkpoint.write_text(folder / "profile.toml", text)
    profile_hash = hashlib.sha256((folder / "profile.toml").read_bytes()).hexdigest()
    stands = path.is_file()
    weights = f"detector-{checkpoint.digest(tensors)[:16]}.safetensors" if stands else WEIGHTS
    digest = checkpoint.write_tensors(folder / weights, tensors)
    hashes = {"sha256": digest, "profile_sha256": profile_hash}
    pointer = {"weights": weights} if stands else {}
    checkpoint.write_json(path, {"format": FORMAT, **hashes, **described, **pointer})
    if stands:
        settle(folder)


def settle(folder: Path) -> None:
    """Bring the weights that work to `detector.safetensors`, and remove those that nobody names.

    It finishes a `write` that was killed, and detaches the folder from a promoted version.
    """
    described = checkpoint.read_json(folder / "detector.json")
    if (weights := described.pop("weights", WEIGHTS)) != WEIGHTS:
        write_bytes(folder / WEIGHTS, (folder / weights).read_bytes())
        checkpoint.write_json(folder / "detector.json", described)
    for path in folder.glob("detector-*.safetensors"):
        path.unlink()


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
    path = folder / described.get("weights", WEIGHTS)
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


def _says(profile: Path, config: Config) -> bool:
    """Tell whether a profile is there and means this, in whatever words: then it need not change."""
    try:
        return profile.is_file() and load_config(profile) == config
    except ValueError:
        return False


def _point(described: dict[str, Any] | None, unit: str) -> Calibration | None:
    return None if described is None else replace(Calibration.from_json(described), unit=unit)
