"""The README does not lie: its code runs, its tree is the tree, its commands exist."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_code_blocks_run(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    shutil.copytree(tiny_folder, tmp_path / "images")
    shutil.copy(next((tiny_folder / "abnormal").rglob("*.png")), tmp_path / "query.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:  # one after the other, as a reader would type them
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "runs" / "tiny" / "detector.safetensors").is_file()
    assert "AUROC" in capsys.readouterr().out


def test_the_tree_names_every_module_and_nothing_else() -> None:
    tree = README.split("## What is where")[1].split("##")[0]
    named = set(re.findall(r"^      (\S+)", tree, flags=re.MULTILINE))
    there = {path.name for path in (ROOT / "anogan").glob("*.py") if not path.name.startswith("_")}
    there |= {f"{path.name}/" for path in (ROOT / "anogan").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == there
    for name in re.findall(r"^    (\w\S+)", tree, flags=re.MULTILINE):
        assert (ROOT / name).exists(), name


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "data" / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("https://"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_commands_it_shows_are_commands() -> None:
    from anogan.cli import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.name) for group in app.registered_groups}
    shown = set(re.findall(r"anogan (\w+) [\w/]", "\n".join(re.findall(r"^    anogan .*", README, flags=re.MULTILINE))))
    assert shown
    assert shown <= commands
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
