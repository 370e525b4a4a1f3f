import errno
import json
import os
from pathlib import Path

import pytest
import torch

from anogan.storage import checkpoint


def test_tensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.randn(3, 4), "b.c": torch.arange(5)}
    digest = checkpoint.write_tensors(path, tensors)
    back = checkpoint.read_tensors(path, digest)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_an_altered_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    digest = checkpoint.write_tensors(path, {"a": torch.zeros(100)})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"weights\.safetensors: altered or damaged"):
        checkpoint.read_tensors(path, digest)
    path.write_bytes(data[:20])
    with pytest.raises(ValueError, match=r"weights\.safetensors: damaged, not a safetensors file"):
        checkpoint.read_tensors(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"weights\.safetensors: cannot be read"):
        checkpoint.read_tensors(path)


def test_a_full_disk_leaves_the_good_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "detector.json"
    checkpoint.write_json(path, {"good": 1})

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for write in (
        lambda: checkpoint.write_json(path, {"new": 2}),
        lambda: checkpoint.write_tensors(path, {"a": torch.zeros(2)}),
    ):
        with pytest.raises(ValueError, match=r"detector\.json: cannot be written \(No space left on device\)"):
            write()
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"good": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["detector.json"]


def test_json_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with pytest.raises(ValueError, match=r"state\.json: there is no such file"):
        checkpoint.read_json(path)
    path.write_text('{"cut": ')
    with pytest.raises(ValueError, match=r"state\.json: damaged"):
        checkpoint.read_json(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="expected a JSON object"):
        checkpoint.read_json(path)


def test_modules_and_optimizers_round_trip(tmp_path: Path) -> None:
    def step(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 3)).sum().backward()
        optimizer.step()

    first = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(first.parameters(), lr=0.1, betas=(0.5, 0.9))
    step(first, adam)
    path = tmp_path / "state.safetensors"
    checkpoint.write_tensors(path, checkpoint.pack("layer", first) | checkpoint.pack_optimizer("adam", adam))
    tensors = checkpoint.read_tensors(path)
    second = torch.nn.Linear(3, 2)
    other = torch.optim.Adam(second.parameters(), lr=0.1, betas=(0.5, 0.9))
    checkpoint.unpack("layer", tensors, second, path)
    checkpoint.unpack_optimizer("adam", tensors, other)
    step(first, adam)
    step(second, other)
    assert torch.equal(first.weight, second.weight)
    with pytest.raises(ValueError, match="the weights of the layer do not fit its profile"):
        checkpoint.unpack("layer", tensors, torch.nn.Linear(4, 2), path)
