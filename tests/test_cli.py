"""The commands: what they say, what they refuse, and how they leave."""

import inspect
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anogan.cli.app import sentence
from anogan.cli.data import synth
from anogan.config import load_config
from anogan.data.dataset import open_dataset
from anogan.io import write_png
from anogan.io.dicom import write_dicom

HEAVY = ("torch", "numpy", "cv2", "pydicom", "scipy", "sklearn", "streamlit")


@pytest.mark.parametrize("statement", ["import anogan", "import anogan.cli", "import anogan; dir(anogan)"])
def test_importing_is_light(statement: str) -> None:
    check = f"{statement}; import sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_light_and_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "anogan", "--help"], capture_output=True, text=True, check=True
    )
    for command in (
        *("synth", "info", "quality", "train", "calibrate", "inspect", "evaluate", "dashboard"),
        *("contamination", "selftest", "fairness", "drift", "compare", "deidentify", "erase"),
        *("export", "feedback", "listen", "queue", "pacs", "desk", "audit", "link", "serve", "key"),
    ):
        assert re.search(rf"\b{command}\b", done.stdout)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & set(HEAVY)


def test_the_public_names_all_exist() -> None:
    import anogan

    for name in anogan.__all__:
        assert getattr(anogan, name) is not None
    with pytest.raises(AttributeError, match="module 'anogan' has no attribute 'detect'"):
        anogan.detect  # noqa: B018


def test_the_demo_size_is_written_down_once() -> None:
    from anogan.data.synthetic import write_phantom

    defaults = inspect.signature(write_phantom).parameters, inspect.signature(synth).parameters
    for name in ("subjects", "slices", "spacing", "seed"):
        assert defaults[0][name].default == defaults[1][name].default


def test_version(anogan) -> None:
    from anogan._version import __version__

    assert anogan("--version").out == f"anogan {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["train"],
        ["train", "images", "--run", "runs/x"],  # no profile
        ["train", "images", "--profile", "tiny"],  # no run
        ["inspect", "runs/x"],  # no images
        ["calibrate", "runs/x", "images", "--false-alarm-rate", "often"],
        ["calibrate"],
        ["calibrate", "runs/x"],  # no images
        ["calibrate", "runs/x", "images", "--series", "--group", "scanner"],
        ["inspect", "runs/x", "images", "--series", "--monitor"],
    ],
)
def test_wrong_usage_is_exit_code_2(anogan, arguments: list[str]) -> None:
    result = anogan(*arguments)
    assert result.code == 2
    assert "Usage: anogan" in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "nowhere", "--profile", "tiny", "--run", "run"], "nowhere"),
        (["train", "nowhere", "--profile", "unheard-of", "--run", "run"], "profile unheard-of: unknown"),
        (
            ["train", "nowhere", "--profile", "tiny", "--run", "run", "--set", "training.stpes=3"],
            "training.stpes: Extra",
        ),
        (["train", "nowhere", "--profile", "tiny", "--run", "full"], "full: exists already; add --resume"),
        (["synth", "full"], "full: holds something already"),
        (["calibrate", "nowhere", "full"], "nowhere: there is no such run folder"),
        (["calibrate", "nowhere", "full", "--out", "full"], "full: exists already; choose another --out"),
        (["calibrate", "--plan", "1.5"], "false_alarm_rate: expected a number between 0 and 1, got 1.5"),
        (["inspect", "nowhere", "nothing.png"], "nothing.png"),
        (["inspect", "full", "full/one.png"], "detector.json"),
        (["evaluate", "nowhere", "full"], "nowhere: there is no such run folder"),
        (["dashboard", "full"], "full: not a run folder"),
        (["info", "nowhere.png"], "nowhere.png"),
    ],
)
def test_a_fault_is_one_sentence_and_exit_code_1(
    anogan, arguments: list[str], sentence: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    shutil.copy(next((tiny_folder / "healthy").rglob("*.png")), tmp_path / "full" / "one.png")
    result = anogan(*arguments)
    assert result.code == 1
    assert sentence in result.err
    assert result.err.startswith("anogan: ")
    assert len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("healthy", "abnormal"), [(0, 0), (5, 0), (0, 12)])
def test_too_few_healthy_images_are_refused_before_anything_is_written(
    anogan, healthy: int, abnormal: int, tiny_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for kind, count in (("healthy", healthy), ("abnormal", abnormal)):
        for path in sorted((tiny_folder / kind).glob("*.png"))[:count]:
            (data / kind).mkdir(exist_ok=True)
            shutil.copy(path, data / kind)
    result = anogan("train", data, "--profile", "tiny", "--run", tmp_path / "run")
    assert result.code == 1
    assert re.fullmatch(r"anogan: .*healthy.*", result.err)
    assert not (tmp_path / "run").exists()


def test_a_system_error_names_its_file() -> None:
    assert sentence(PermissionError(13, "Permission denied", "x.png")) == "x.png: permission denied"
    assert sentence(ValueError("two\n  lines")) == "two lines"


def test_info_shows_what_the_reader_sees_and_goes_on_past_a_bad_file(anogan, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(next((tiny_folder / "healthy").rglob("*.png")), tmp_path / "good.png")
    (tmp_path / "bad.dcm").write_text("this is a text file")
    result = anogan("info", tmp_path / "bad.dcm", tmp_path / "good.png")
    assert result.code == 1
    assert "PNG" in result.out
    assert re.search(r"\d+ x \d+ pixels, (gray|color)", result.out)
    assert "bad.dcm" in result.err
    assert result.err.endswith("anogan: 1 file could not be read")
    assert anogan("info", tmp_path / "good.png").code == 0


def test_a_zip_file_is_looked_into_and_its_members_keep_its_name(anogan, tiny_run: Path, tmp_path: Path) -> None:
    import numpy as np

    from anogan.io import write_png
    from anogan.results.reading import read_results

    write_png(tmp_path / "a.png", np.arange(48 * 48, dtype=np.uint8).reshape(48, 48))
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as file:
        file.write(tmp_path / "a.png", "series/a.png")
        file.writestr("series/b.dcm", "this is a text file")
    result = anogan("info", tmp_path / "export.zip")
    assert result.code == 1
    assert "export.zip/series/a.png" in result.out.replace("\n", "")
    assert f"{tmp_path}/export.zip/series/b.dcm: is not a PNG" in result.err
    result = anogan("inspect", tiny_run, tmp_path / "export.zip", "--out", tmp_path / "out")
    assert result.code == 1
    statuses = {case["file"]: case["status"] for case in read_results(tmp_path / "out")["cases"]}
    assert statuses == {
        f"{tmp_path}/export.zip/series/a.png": "scored",
        f"{tmp_path}/export.zip/series/b.dcm": "not scored",
    }
    (tmp_path / "export.zip").write_bytes(b"PK\x03\x04")
    result = anogan("inspect", tiny_run, tmp_path / "export.zip", "--out", tmp_path / "out")
    assert result.code == 1
    assert f"{tmp_path}/export.zip: is a damaged zip file" in result.err


def test_another_image_in_an_archive_of_the_same_names_is_another_case(anogan, tiny_run: Path, tmp_path: Path) -> None:
    """As export programs name them: the second day's image comes to the desk, the first day's case stays its own."""
    import numpy as np

    from anogan.io import write_png
    from anogan.review import open_desk

    for day in range(2):
        write_png(tmp_path / "a.png", np.arange(day, 48 * 48 + day, dtype=np.uint16).astype(np.uint8).reshape(48, 48))
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as file:
            file.write(tmp_path / "a.png", "IM0001.png")
        desk = tmp_path / "desk.db"
        anogan("inspect", tiny_run, tmp_path / "export.zip", "--out", tmp_path / "out", "--desk", desk)
    cases = open_desk(desk).page().cases
    assert len(cases) == len({case.folder for case in cases}) == 2


def test_info_tells_what_a_series_is(anogan, tmp_path: Path) -> None:
    for k in range(3):
        write_dicom(
            tmp_path / "t1" / f"{k}.dcm",
            np.full((4, 5), k, np.uint16),
            spacing=(0.5, 0.75),
            position=(2.5 * k, 0, 0),
            orientation=(0, 1, 0, 0, 0, -1),
            uids=("2.25.1", "2.25.2", f"2.25.3{k}"),
            window=(1, 2),
        )
    lines = anogan("info", tmp_path / "t1").out.splitlines()
    told = dict([part.strip() for part in line.strip("│").split("│")] for line in lines if line.count("│") == 3)
    assert told["slices"] == "3"
    assert told["size"] == "4 x 5 pixels, gray"
    assert told["spacing"] == "0.5 x 0.75 mm (row, column)"
    assert told["step"] == "2.5 mm from slice to slice"
    assert told["orientation"] == "sagittal"
    assert told["position"] == "-5 to 0 mm"
    assert told["series"] == "2.25.2"
    assert told["body part"] == "HEAD"
    assert told["window"] == "center 1, width 2, LINEAR"
    assert told["burned-in text"] == "no, says the header"


def write_heads(folder: Path, heads: int, slices: int = 4) -> None:
    """Write series of slices that look like those of `tiny_folder`, a folder each, as a PACS would hand them out."""
    from anogan.data.synthetic import tiny_images
    from anogan.io.dicom import write_dicom

    images, _, _ = tiny_images(heads * slices, 0, size=48, seed=9)
    for index, pixels in enumerate(images):
        head, place = divmod(index, slices)
        path = folder / f"head {head:02d}" / f"IM{place}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(
            path,
            (pixels * 4000).astype("uint16"),
            position=(0, 0, 3.0 * place),
            uids=(f"1.2.{head}", f"1.2.{head}.1", f"1.2.{head}.1.{place}"),
            patient_id=f"patient {head}",
            window=(2000, 4000),
        )


def test_series_are_calibrated_and_inspected(anogan, tiny_run: Path, tmp_path: Path) -> None:
    run, work, site = (tmp_path / name for name in ("run", "work", "site"))
    shutil.copytree(tiny_run, run)
    write_heads(work, 2)
    (work / "notes.dcm").write_text("this is a text file")
    before = anogan("inspect", run, work / "head 00", "--series", "--out", tmp_path / "before")
    assert before.code == 0
    assert "not calibrated for series: run `anogan calibrate RUN DATA --series`" in " ".join(before.out.split())
    assert "is not calibrated for series" in anogan("inspect", run, work, "--series", "--fdr", 0.1).err

    write_heads(site / "healthy", 12)
    calibrated = anogan("calibrate", run, site, "--series", "--out", tmp_path / "there", "--false-alarm-rate", 0.1)
    assert calibrated.code == 0, calibrated.err
    assert "With 12 healthy calibration series, at most 10.0% of healthy series" in calibrated.out
    result = anogan("inspect", tmp_path / "there", work, "--series")
    assert result.code == 1  # for the sake of the text file
    assert "2 scored" in result.out
    assert result.err.endswith("anogan: 1 file not scored")
    document = json.loads((tmp_path / "there" / "results" / "results.json").read_text())
    assert document["detector"]["unit"] == "series"
    scored = [case for case in document["cases"] if case["status"] == "scored"]
    assert [Path(case["file"]).name for case in scored] == ["head 00", "head 01"]
    for case in scored:
        assert 0 < case["p_value"] <= 1
        assert case["slices"] == 4
    kept = [path.read_text(errors="replace") for path in (tmp_path / "there").rglob("*.*") if path.is_file()]
    assert not any("patient " in text for text in kept)

    shutil.make_archive(str(tmp_path / "export"), "zip", work)
    result = anogan("inspect", tmp_path / "there", tmp_path / "export.zip", "--series", "--out", tmp_path / "zipped")
    assert f"{tmp_path}/export.zip/notes.dcm: is not a" in result.err
    cases = json.loads((tmp_path / "zipped" / "results.json").read_text())["cases"]
    names = {"export.zip/head 00", "export.zip/head 01", "export.zip/notes.dcm"}
    assert {case["file"].removeprefix(f"{tmp_path}/") for case in cases} == names


def test_inspect_writes_results_and_never_calls_a_bad_file_normal(
    anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for kind in ("healthy", "abnormal"):
        for path in sorted((tiny_folder / kind).rglob("*.png"))[:2]:
            shutil.copy(path, work / f"{kind}-{path.name}")
    image = next(work.glob("healthy-*")).read_bytes()
    (work / "cut.png").write_bytes(image[: len(image) // 2])
    result = anogan("inspect", tiny_run, work, "--out", tmp_path / "out")
    assert result.code == 1
    assert "4 scored" in result.out
    assert "cut.png" in result.err
    assert result.err.endswith("anogan: 1 file not scored")
    assert not re.search(r"\bnormal\b", result.out + result.err)

    cases = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    by_status = {status: [case for case in cases if case["status"] == status] for status in ("scored", "not scored")}
    assert len(by_status["scored"]) == 4
    assert [Path(case["file"]).name for case in by_status["not scored"]] == ["cut.png"]
    assert by_status["not scored"][0]["flagged"] is None
    for case in by_status["scored"]:
        assert (tmp_path / "out" / "cases" / case["case"] / "heatmap.png").is_file()
        assert 0 < case["p_value"] <= 1
    assert (tmp_path / "out" / "results.csv").read_text().count("\n") == 6  # a header and five files

    (work / "cut.png").unlink()
    assert anogan("inspect", tiny_run, work, "--out", tmp_path / "again").code == 0


@pytest.mark.parametrize(
    ("arguments", "average", "sure"),
    [(["0.01"], 99, "299 healthy images keep them at 0.01 with 95 %"), (["0.05"], 19, "59 healthy images"),
     (["0.05", "--confidence", "0.99"], 19, "90 healthy images keep them at 0.05 with 99 %")],
)  # fmt: skip
def test_a_plan_needs_no_run(anogan, arguments: list[str], average: int, sure: str) -> None:
    result = anogan("calibrate", "--plan", *arguments)
    assert result.code == 0
    assert result.out.startswith(f"{average} healthy images keep false alarms at {arguments[0]} on average")
    assert f"\n{sure}" in result.out


@pytest.fixture
def other_site(unseen_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with a manifest of darker copies of healthy images, and of two scanners."""
    import cv2

    folder = tmp_path / "site"
    folder.mkdir()
    rows = ["file,label,scanner,subject"]
    for index, path in enumerate(sorted((unseen_folder / "healthy").rglob("*.png"))[:30]):
        cv2.imwrite(str(folder / f"{index}.png"), (cv2.imread(str(path)) * 0.8).astype("uint8"))
        rows.append(f"{index}.png,healthy,{'AB'[index % 2]},p{index // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_another_site_gets_a_run_of_its_own(anogan, tiny_run: Path, other_site: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tiny_run.glob("*.*")}
    result = anogan("calibrate", tiny_run, other_site, "--out", tmp_path / "new", "--false-alarm-rate", "0.1")
    assert result.code == 0, result.err
    assert re.search(rf"the threshold of {tiny_run} would flag \d+ of these 30 healthy images \(", result.out)
    assert "With 30 healthy calibration images, at most 10.0%" in result.out
    assert "These 30 images are of 15 subjects, and images of one subject are alike" in result.out
    assert {path.name: path.read_bytes() for path in tiny_run.glob("*.*")} == before
    described = json.loads((tmp_path / "new" / "detector.json").read_text())
    assert described["sha256"] == json.loads(before["detector.json"])["sha256"]  # the same networks
    assert [entry["images"] for entry in described["provenance"]["calibrations"]][-1] == 30
    assert anogan("inspect", tmp_path / "new", other_site / "0.png").code == 0
    assert anogan("calibrate", tmp_path / "new", other_site, "--out", tmp_path / "newer").code == 0


def test_another_sites_run_has_only_the_operating_point_that_was_set_there(
    anogan, tiny_run: Path, other_site: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(tiny_run, both)
    described = json.loads((both / "detector.json").read_text())
    series = described["calibration"] | {"unit": "series"}
    (both / "detector.json").write_text(json.dumps(described | {"series_calibration": series}))
    images, heads = tmp_path / "images", tmp_path / "heads"
    assert anogan("calibrate", both, other_site, "--out", images, "--false-alarm-rate", 0.1).code == 0
    write_heads(tmp_path / "site of heads" / "healthy", 9)
    of_heads = anogan(
        "calibrate", both, tmp_path / "site of heads", "--series", "--out", heads, "--false-alarm-rate", 0.1
    )
    assert of_heads.code == 0, of_heads.err
    points = [
        {
            name: point and len(point["scores"])
            for name, point in json.loads((run / "detector.json").read_text()).items()
            if name in ("calibration", "series_calibration")
        }
        for run in (images, heads)
    ]
    assert points == [{"calibration": 30, "series_calibration": None}, {"calibration": None, "series_calibration": 9}]


def test_each_scanner_is_calibrated_and_another_is_not_decided(
    anogan, tiny_run: Path, other_site: Path, tmp_path: Path
) -> None:
    arguments = ["calibrate", tiny_run, other_site, "--out", tmp_path / "new", "--group", "scanner"]
    result = anogan(*arguments, "--false-alarm-rate", "0.05")
    assert result.code == 1
    assert (
        "calibration of scanner A: 15 healthy images cannot give a false-alarm rate of 0.05; at least 19" in result.err
    )
    assert not (tmp_path / "new").exists()
    result = anogan(*arguments, "--false-alarm-rate", "0.1")
    assert "Each scanner has a threshold of its own. A: With 15 healthy" in result.out
    known = anogan("inspect", tmp_path / "new", other_site / "0.png", "--group", "A", "--fdr", "0.1")
    assert "1 scored" in known.out
    assert "not decided" not in known.out
    assert re.search(r"[01] of 1 in the work list are discoveries at 10.0%", known.out)
    unknown = anogan("inspect", tmp_path / "new", other_site / "0.png", "--group", "C", "--out", tmp_path / "out")
    assert "1 scored, 0 flagged, 1 not decided" in unknown.out
    assert "scanner C is unknown" in " ".join(unknown.out.split())
    (case,) = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    assert (case["flagged"], case["p_value"], case["group"]) == (None, None, "C")


def test_discoveries_need_p_values(anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    described = json.loads((tmp_path / "run" / "detector.json").read_text())
    (tmp_path / "run" / "detector.json").write_text(json.dumps({**described, "calibration": None}))
    image = next((tiny_folder / "healthy").rglob("*.png"))
    result = anogan("inspect", tmp_path / "run", image, "--fdr", "0.1")
    assert result.code == 1
    assert "is not calibrated, so there are no p-values for --fdr" in result.err
    assert "expected a number between 0 and 1" in anogan("inspect", tiny_run, image, "--fdr", "10").err


def test_an_altered_weight_file_is_refused(anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    weights = bytearray((run / "detector.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "detector.safetensors").write_bytes(weights)
    image = next((tiny_folder / "healthy").rglob("*.png"))
    result = anogan("inspect", run, image, "--out", tmp_path / "out")
    assert result.code == 1
    assert "detector.safetensors" in result.err
    (run / "detector.safetensors").unlink()
    result = anogan("evaluate", run, tiny_folder)
    assert result.code == 1
    assert "detector.safetensors" in result.err


def test_a_report_is_asked_for_and_needs_true_prevalences(
    anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    for arguments, words in (
        (["--prevalence", "0.1"], "add --report"),
        (["--report", "--prevalence", "2"], "expected a number between 0 and 1, got 2"),
    ):
        result = anogan("evaluate", tiny_run, tiny_folder, *arguments)
        assert result.code == 2
        assert words in " ".join(result.err.replace("│", "").split())
    out = tmp_path / "out"
    result = anogan("evaluate", tiny_run, tiny_folder, "--out", out, "--report", "--prevalence", "0.2")
    assert result.code == 0
    assert f"{out / 'report.html'} is the report" in result.out
    found = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert [worth["prevalence"] for worth in found["predictive_values"]] == [0.2]
    assert found["data_card"]["name"] == tiny_folder.name
    assert {"report.html", "evaluation.csv", "results.csv", "results.json"} <= {path.name for path in out.iterdir()}


def test_training_refuses_to_mix_settings_in_one_run(anogan, tiny_run: Path, tiny_folder: Path) -> None:
    before = (tiny_run / "detector.safetensors").read_bytes()
    again = anogan("train", tiny_folder, "--run", tiny_run, "--resume")
    assert (again.code, again.out) == (0, f"{tiny_run} is trained already\n")
    other = anogan("train", tiny_folder, "--profile", "tiny", "--set", "training.seed=9", "--run", tiny_run, "--resume")
    assert other.code == 1
    assert "was started with other settings" in other.err
    assert (tiny_run / "detector.safetensors").read_bytes() == before


def test_training_refuses_to_mix_images_in_one_run(anogan, tiny_run: Path, unseen_folder: Path, tmp_path: Path) -> None:
    """A run that is trained, and one whose training was stopped."""
    before = {path: path.read_bytes() for path in tiny_run.rglob("*.*")}
    done = anogan("train", unseen_folder, "--run", tiny_run, "--resume")
    assert done.code == 1
    assert f"{tiny_run}: was trained on other images than these, without {unseen_folder}" in done.err
    assert {path: path.read_bytes() for path in tiny_run.rglob("*.*") if path.suffix != ".lock"} == before
    stopped = tmp_path / "stopped"
    shutil.copytree(tiny_run, stopped, ignore=shutil.ignore_patterns("detector.*"))
    refused = anogan("train", unseen_folder, "--run", stopped, "--resume")
    assert refused.code == 1
    assert "the run was started with other images; resume with the same, or start anew" in refused.err
    assert not (stopped / "detector.json").exists()


def test_what_training_and_calibration_leave_out_is_named_and_the_rest_goes_on(
    anogan, tiny_folder: Path, tmp_path: Path
) -> None:
    """Five of 40 healthy images are cut off, and one is too small for the profile."""
    data = tmp_path / "data"
    shutil.copytree(tiny_folder / "healthy", data / "healthy")
    files = sorted((data / "healthy").glob("*.png"))
    for path in files[::8]:
        path.write_bytes(path.read_bytes()[:40])
    write_png(files[1], np.zeros((24, 24), np.uint8))
    spoiled = {*files[::8], files[1]}
    config = load_config("tiny")
    splits = open_dataset(data, config)
    for_training, for_calibration = ({item.path for item in part} for part in (splits.train, splits.calibration))
    assert for_training & spoiled
    assert for_calibration & spoiled

    short = ["training.steps=2", "training.encoder_steps=2", "gate.smallest_side=40"]
    settings = [part for setting in short for part in ("--set", setting)]
    trained = anogan("train", data, "--profile", "tiny", *settings, "--run", tmp_path / "run")
    assert trained.code == 1
    assert f"reading {len(splits.train)} healthy images" in trained.out
    count = len(for_training - spoiled)
    assert f"holds the detector, trained on {count} images of {count} subjects" in trained.out
    calibrated = anogan("calibrate", tmp_path / "run", data, "--false-alarm-rate", 0.4)
    assert calibrated.code == 1
    assert f"With {len(for_calibration - spoiled)} healthy calibration images" in calibrated.out
    for result, part in ((trained, for_training), (calibrated, for_calibration)):
        assert {path for path in files if f"{path}: " in result.err} == part & spoiled
        left = len(part & spoiled)
        assert result.err.endswith(f"anogan: {left} {'file' if left == 1 else 'files'} left out")
    assert f"{files[1]}: has 24 x 24 pixels; profile tiny accepts sides of 40" in trained.err + calibrated.err
    few = anogan("calibrate", tmp_path / "run", data, "--false-alarm-rate", 0.01)
    assert "healthy images cannot give a false-alarm rate of 0.01" in few.err
    assert {path for path in files if f"{path}: " in few.err} == for_calibration & spoiled


def test_interrupting_a_training_says_how_to_go_on(
    anogan, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anogan.detector import Detector

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Detector, "train", interrupted)
    result = anogan("train", tiny_folder, "--profile", "tiny", "--run", tmp_path / "run")
    assert result.code == 130
    assert f"go on with: anogan train {tiny_folder} --run {tmp_path / 'run'} --resume" in result.err


@pytest.fixture
def run_of_its_own(tiny_run: Path, tmp_path: Path) -> Path:
    """Return a copy of `tiny_run` that may be written into."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("detector.json", "detector.safetensors", "profile.toml"):
        shutil.copy(tiny_run / name, run)
    return run


def test_routine_cases_count_once_and_drift_shows_them(anogan, run_of_its_own: Path, tiny_folder: Path) -> None:
    images = sorted((tiny_folder / "healthy").rglob("*.png"))[:3]
    assert anogan("inspect", run_of_its_own, images[0]).code == 0
    assert not (run_of_its_own / "drift.json").exists()  # nobody said that it was a routine case
    for _ in range(2):
        assert anogan("inspect", run_of_its_own, *images, "--monitor").code == 0
    told = anogan("drift", run_of_its_own)
    assert told.code == 0
    assert "3 cases counted beside 8 calibration images" in told.out
    assert "discriminator: the last 3 cases lie" in told.out
    assert told.out.endswith("the calibration holds as far as these cases tell\n")
    assert "0 cases counted" in anogan("drift", run_of_its_own, "--reset", "--abnormal-share", "0.3").out
    assert anogan("drift", run_of_its_own, "--abnormal-share", "0.3").code == 2


def test_after_an_alarm_nothing_is_flagged_nor_called_not_flagged(
    anogan, run_of_its_own: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cases that set off the alarm are paused already, and so are all later ones until a reset."""
    images = sorted(tiny_folder.rglob("*abnormal*/*.png"))[:4]
    with monkeypatch.context() as sensitive:
        sensitive.setattr("anogan.assurance.drift.FALSE_ALARM", 0.999)
        result = anogan("inspect", run_of_its_own, *images, "--monitor")
    for text in (result, anogan("inspect", run_of_its_own, *images, "--fdr", "0.1")):
        assert "discoveries" not in text.out
        assert text.code == 0
        assert "4 scored, 0 flagged, 4 not decided" in text.out
        assert "not flagged" not in text.out
        assert "warning: the calibration no longer holds: since case" in text.err
        cases = json.loads((run_of_its_own / "results" / "results.json").read_text())["cases"]
        assert {case["flagged"] for case in cases} == {None}
        assert all(case["reason"].startswith("the calibration no longer holds") for case in cases)
    told = anogan("drift", run_of_its_own)
    assert told.code == 1
    assert told.err.startswith("anogan: the calibration no longer holds: since case")
    anogan("drift", run_of_its_own, "--reset")
    assert "not decided" not in anogan("inspect", run_of_its_own, *images).out


def test_compare_writes_a_list_and_ends_with_a_verdict(
    anogan, tiny_run: Path, unseen_folder: Path, tmp_path: Path
) -> None:
    text = tmp_path / "more" / "notes.txt"
    text.parent.mkdir()
    text.write_text("no image")
    shutil.copy(next(unseen_folder.rglob("*.png")), text.parent)
    result = anogan("compare", tiny_run, tiny_run, unseen_folder, text.parent, "--out", tmp_path / "out")
    assert result.code == 0
    assert "no images, and passed over: 1 .txt" in result.out + result.err
    assert "Spearman 1.000 [1.000, 1.000]" in result.out
    assert "No difference shown: of the planted anomalies B finds as many" in result.out
    assert (tmp_path / "out" / "comparison.csv").read_text().startswith("case,file,subject,score_a,score_b,")


def test_info_tells_of_the_face_where_the_profile_asks_for_one(anogan, tmp_path: Path) -> None:
    write_png(tmp_path / "wall.png", np.full((90, 90, 3), 128, np.uint8))
    assert "failure to acquire: no face" in " ".join(anogan("info", tmp_path, "--profile", "id-photo").out.split())
    assert "failure" not in anogan("info", tmp_path, "--profile", "tiny").out


@pytest.mark.realdata
def test_info_tells_of_the_quality_of_a_portrait(anogan, data_root: Path) -> None:
    photo = data_root / "faces_frll" / "genuine" / "neutral_front_001_03.jpg"
    out = anogan("info", photo, "--profile", "id-photo").out
    assert re.search(r"inter eye distance +│ 10\d, least 40", out)
    assert "not scored" not in out


def test_a_name_with_control_characters_reaches_no_terminal(
    anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "\x1b[31mred\nanogan: all is well\u202e.png"
    good = tmp_path / "\x1b[32mgreen\nx.png"
    odd.write_bytes(b"torn")
    shutil.copy(next((tiny_folder / "abnormal").iterdir()), good)
    out = ("--out", tmp_path / "out")
    for command in (
        ("inspect", tiny_run, odd, good, *out),
        ("inspect", tiny_run, tmp_path, *out),
        ("info", odd),
        ("quality", good),
    ):
        said = anogan(*command)
        for text in (said.out, said.err):
            assert not {"\x1b", "\u202e"} & set(text), command
            assert "\nanogan: all is well" not in text
