"""Files of a run: safetensors for arrays, JSON for the rest, no pickle; only whole files replace good ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from anogan.storage.atomic import write_bytes
from anogan.storage.documents import json_text, json_value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; NaN is refused, because JSON has none."""
    write_text(path, json_text(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ValueError
        The file is missing or is not a JSON object.
    """
    try:
        value = json_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; is this a run folder of anogan?") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: damaged, not readable as JSON ({error}); restore it or train again") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: damaged, expected a JSON object; restore it or train again")
    return value


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 that `write_tensors` would return."""
    return hashlib.sha256(_serialize(tensors)).hexdigest()


def _serialize(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write named tensors as one safetensors file and return its SHA-256."""
    data = _serialize(tensors)
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: Path, expected_hash: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file, checking its SHA-256 where one is known.

    Raises
    ------
    ValueError
        The file is missing, damaged, or not the one that was written.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); restore it or train again") from None
    if expected_hash is not None and hashlib.sha256(data).hexdigest() != expected_hash:
        raise ValueError(f"{path}: altered or damaged, its SHA-256 is not the recorded one; restore it or train again")
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, not a safetensors file ({error}); restore it or train again") from None


def pack(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Return the module's weights under `prefix.`, for `write_tensors`."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def unpack(prefix: str, tensors: Mapping[str, Tensor], module: nn.Module, path: Path) -> None:
    """Load the weights under `prefix.` into the module.

    Raises
    ------
    ValueError
        Weights are missing, left over, or of another shape.
    """
    state = {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
    try:
        module.load_state_dict(state)
    except RuntimeError:
        raise ValueError(
            f"{path}: the weights of the {prefix} do not fit its profile; was one of them changed?"
        ) from None


def pack_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's moments as named tensors; its settings live in the profile."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, slot in state.items()
        for key, value in slot.items()
    }


def unpack_optimizer(prefix: str, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Load what `pack_optimizer` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            index, key = name.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
