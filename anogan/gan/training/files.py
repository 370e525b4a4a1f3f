"""The training folder of a run: history, snapshots, progress, and the state a killed run resumes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from anogan.gan.snapshots import write_grid
from anogan.storage import checkpoint
from anogan.storage.documents import json_text, json_value


class TrainingFolder:
    """Writes and reads `training/` of a run folder; every file is written whole or not at all.

    `data` stands for the images that train, so that no training goes on with others; "" where nobody says.
    """

    def __init__(self, path: Path, data: str = "") -> None:
        self.path, self.data = path, data

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the history."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json_text(line) + "\n")

    def write_snapshot(self, phase: str, step: int, images: Tensor, figures: Mapping[str, Any]) -> Path:
        """Write a grid of images, (N, C, S, S) in [-1, 1], and the figures beside it; return the grid's path."""
        path = self.path / "snapshots" / f"{phase}-{step:06d}.png"
        write_grid(path, images, columns=8)
        checkpoint.write_json(path.with_suffix(".json"), {"phase": phase, "step": step, **figures})
        return path

    def write_progress(self, progress: Mapping[str, Any]) -> None:
        """Write what the snapshots say together."""
        checkpoint.write_json(self.path / "progress.json", progress)

    def save(self, done: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write the state after `done` steps; the one before is removed when the new one stands."""
        name = f"state-{done:06d}.safetensors"
        digest = checkpoint.write_tensors(self.path / name, tensors)
        # The JSON file names the tensors it belongs to, so a kill between the two writes leaves the older pair valid.
        checkpoint.write_json(self.path / "state.json", {"tensors": name, "sha256": digest, "data": self.data, **state})
        for old in self.path.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load(self, profile: str) -> tuple[dict[str, Any], dict[str, Tensor], Path] | None:
        """Return what `save` wrote and the tensors' path, or None where nothing was saved.

        Raises
        ------
        ValueError
            The state is damaged, or belongs to another profile or to other images.
        """
        if not (self.path / "state.json").is_file():
            return None
        state = checkpoint.read_json(self.path / "state.json")
        if state.get("profile") != profile:
            raise ValueError(
                f"{self.path}: the run was started with other settings; resume with the same, or start anew"
            )
        if self.data and state.get("data", "") not in ("", self.data):
            raise ValueError(f"{self.path}: the run was started with other images; resume with the same, or start anew")
        path = self.path / str(state["tensors"])
        return state, checkpoint.read_tensors(path, state["sha256"]), path

    def forget_after(self, done: Mapping[str, int]) -> None:
        """Drop the history of steps after the last state: they are about to be done again."""
        history = self.path / "history.jsonl"
        if history.is_file():
            whole = [line for line in history.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
            kept = [line + "\n" for line in whole if (entry := json_value(line))["step"] <= done[entry["phase"]]]
            checkpoint.write_text(history, "".join(kept))
