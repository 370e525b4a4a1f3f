"""The precision follows the profile, and where that leaves it open, the machine."""

import pytest

from anogan import load_config
from anogan.gan.devices import make_fabric


@pytest.mark.parametrize(
    ("asked", "hardware", "given"),
    [
        ("float32", True, "32-true"),
        ("bfloat16", False, "bf16-mixed"),
        ("auto", True, "bf16-mixed"),
        ("auto", False, "32-true"),
    ],
)
def test_precision(monkeypatch: pytest.MonkeyPatch, asked: str, hardware: bool, given: str) -> None:
    monkeypatch.setattr("anogan.gan.devices.has_bfloat16", lambda: hardware)
    fabric = make_fabric(load_config("tiny", [f"training.precision={asked}"]))
    assert fabric._precision.precision == given
    assert fabric.world_size == 1
