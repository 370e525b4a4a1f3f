"""OFIQ as a program: what it is told, how its table is read, and what is said where it fails."""

import csv
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from anogan.cli import main
from anogan.faces import ofiq
from anogan.io import write_png

# Writes what OFIQ's sample program writes: the heading is that of the first image, native values before scalar ones.
PROGRAM = """\
import sys
from pathlib import Path
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert words["-c"] == "config.jaxn"
files = Path(words["-i"]).read_text().splitlines()
names = [] if "tiff" in files[0] else ["UnifiedQualityScore", "Sharpness"]
lines = ["Filename;" + "".join(f"{n}.native;" for n in names) + "".join(f"{n}.scalar;" for n in names) + "ms;"]
for file in files:
    values = ";" if "tiff" in file else "0;0;-1;-1" if "nobody" in file else "24.531;0.7;31;88.25"
    lines.append(f"{file};{values};{12}")
with open(sys.argv[0] + ".calls", "a") as log:
    print(len(files), file=log)
Path(words["-o"]).write_text("\\n".join(lines) + "\\n")
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "OFIQSampleApp"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("ANOGAN_OFIQ", f"{path} -c config.jaxn")
    return path


def calls(program: Path) -> list[str]:
    return Path(f"{program}.calls").read_text().split()


def test_all_images_in_one_call_and_what_it_fails_at_is_left_out(program: Path) -> None:
    found = ofiq.assess(["a;b.png", "nobody.png", "c.tiff"])
    assert found == [{"UnifiedQualityScore": 31, "Sharpness": 88.25}, {}, {}]
    assert calls(program) == ["3"]


def test_a_first_image_that_it_cannot_read_does_not_cost_the_others(program: Path) -> None:
    assert ofiq.assess(["a.tiff", "b.tiff", "c.png"]) == [{}, {}, {"UnifiedQualityScore": 31, "Sharpness": 88.25}]
    assert ofiq.assess(["a.tiff"]) == [{}]
    assert ofiq.assess([]) == []


def test_faults_are_one_sentence(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ofiq.named()
    monkeypatch.setenv("ANOGAN_OFIQ", f"{program} -c another")
    with pytest.raises(ValueError, match=r"^OFIQ failed \(.*exit status 1\.\); check the command in \$ANOGAN_OFIQ$"):
        ofiq.assess(["a.png"])
    monkeypatch.setenv("ANOGAN_OFIQ", f"{program.parent}/nothing")
    with pytest.raises(ValueError, match=r"^OFIQ failed \(.*No such file.*\); check the command in \$ANOGAN_OFIQ$"):
        ofiq.assess(["a.png"])
    program.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'w').write('nothing')\n")
    monkeypatch.setenv("ANOGAN_OFIQ", str(program))
    with pytest.raises(ValueError, match=r"^OFIQ gave 0 lines for 1 images; check the command"):
        ofiq.assess(["a.png"])
    monkeypatch.setenv("ANOGAN_OFIQ", " ")
    assert not ofiq.named()
    with pytest.raises(ValueError, match=r"^OFIQ: \$ANOGAN_OFIQ names no command; set it, for example"):
        ofiq.assess(["a.png"])


def test_the_command_adds_its_measures(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("wall", "nobody"):
        write_png(photos / f"{name}.png", np.full((60, 60, 3), 120, np.uint8))
    main_exit = pytest.raises(SystemExit, main, ["quality", str(photos), "--ofiq"])
    assert not main_exit.value.code
    rows = {Path(row["file"]).stem: row for row in csv.DictReader(capsys.readouterr().out.splitlines())}
    assert (rows["wall"]["outcome"], rows["wall"]["OFIQ UnifiedQualityScore"]) == ("failure to acquire", "31.0")
    assert rows["wall"]["reason"].startswith("no face was found")
    assert rows["nobody"]["OFIQ Sharpness"] == ""
