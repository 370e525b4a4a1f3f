"""`anogan pacs`, `anogan queue` and `anogan listen`: what they say, and what they never say."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from clinic import Orthanc, answers, judge, listening, settings, start_listener, storescu, uid, wait_for, write_study
from pydicom import dcmread

from anogan.pacs.header import read_header
from anogan.pacs.store import Store


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no table fold its cells."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def toml(tmp_path: Path, orthanc: Orthanc, our_port: int) -> Path:
    path = tmp_path / "pacs.toml"
    path.write_text(tomli_w.dumps({"port": our_port, "nodes": orthanc.nodes()}))
    return path


@pytest.mark.parametrize("way", ["pacs", "web"])
def test_a_clinician_sends_finds_and_fetches(way: str, anogan, toml: Path, orthanc: Orthanc, tmp_path: Path) -> None:
    write_study(tmp_path / "sent", "one", slices=2)
    (tmp_path / "sent" / "notes.txt").write_text("no image")
    assert anogan("pacs", "echo", way, "--settings", toml).out == f"{way} answers\n"
    sent = anogan("pacs", "send", way, tmp_path / "sent", "--settings", toml)
    assert sent.code == 1
    assert "notes.txt: is not a DICOM file" in sent.err
    assert sent.err.endswith("anogan: 1 file not sent")
    assert len(orthanc.stored()) == 2
    found = anogan("pacs", "find", way, "--modality", "MR", "--settings", toml)
    assert found.code == 0
    assert uid("one") in found.out
    assert found.out.endswith("1 study found\n")
    fetched = anogan("pacs", "fetch", way, uid("one"), tmp_path / "fetched", "--settings", toml)
    assert fetched.out == f"2 files in {tmp_path / 'fetched'}\n"
    everything = "".join([sent.out, sent.err, found.out, found.err, fetched.out, fetched.err])
    assert "secret" not in everything + (orthanc.folder / "log").read_text(errors="replace")
    assert not any("secret" in path.name for path in (tmp_path / "fetched").iterdir())


def test_wrong_usage(anogan, toml: Path, tmp_path: Path) -> None:
    said = anogan("pacs", "echo", "other", "--settings", toml)
    assert (said.code, said.err) == (1, "anogan: node other: unknown; the settings know pacs, web")
    assert anogan("pacs", "find", "pacs", "--settings", toml).code == 2  # everything is no question
    said = anogan("pacs", "send", "pacs", tmp_path / "missing", "--settings", toml)
    assert said.err.endswith("missing: there is no such file or folder")
    said = anogan("queue", tmp_path)
    assert said.err == f"anogan: {tmp_path}: holds no queue; name the --store of `anogan listen`"


def test_a_patients_number_is_asked_for_and_not_shown(
    anogan, toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path / "sent", "one", slices=1)
    write_study(tmp_path / "sent", "two", slices=1)
    anogan("pacs", "send", "pacs", tmp_path / "sent", "--settings", toml)
    monkeypatch.setattr("typer.prompt", lambda *_, hide_input, **__: "secret two" if hide_input else "")
    found = anogan("pacs", "find", "pacs", "--patient", "--settings", toml)
    assert uid("two") in found.out
    assert uid("one") not in found.out
    assert "secret" not in found.out + found.err


def test_queue_shows_and_retries(anogan, our_port: int, tmp_path: Path) -> None:
    write_study(tmp_path / "sent", "one", slices=1)
    faults = ["the modality is CT"]

    def moody(study: Path) -> list[Path]:
        if faults:
            raise ValueError(faults.pop())
        return judge(study)

    store = tmp_path / "store"
    with listening(settings(our_port), store, moody) as listener:
        said = anogan("queue", store)
        assert (said.code, said.out) == (0, "nothing has come yet\n")
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: [entry.state for entry in listener.store.queue.entries()] == ["failed"])
        said = anogan("queue", store)
        assert "not scored: the modality is CT" in said.out
        assert said.err == f"anogan: 1 failed; once the cause is gone: anogan queue {store} --retry"
        said = anogan("queue", store, "--retry", "--study", "1.2.3")
        assert "study 1.2.3: is not among the failed ones" in said.err
        said = anogan("queue", store, "--retry", "--study", uid("one"))
        assert said.out.startswith("1 to be tried again")
        wait_for(lambda: [entry.state for entry in listener.store.queue.entries()] == ["judged"])
        assert anogan("queue", store).code == 0


def test_the_log_of_a_listener_names_no_patient(
    orthanc: Orthanc, our_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write_study(tmp_path / "sent", "one")
    with listening(settings(our_port, nodes=orthanc.nodes(), results="web"), tmp_path / "store") as listener:
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: [entry.state for entry in listener.store.queue.entries()] == ["sent"])
    assert f"study {uid('one')}: judged, 1 results" in caplog.text
    assert "secret" not in caplog.text


def test_the_process_of_a_listener_quotes_no_odd_value(our_port: int, tmp_path: Path) -> None:
    """pydicom warns of values that break the rules, and quotes them."""
    write_study(tmp_path / "sent", "one", slices=1)
    (path,) = (tmp_path / "sent").iterdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path)
        ds.StudyInstanceUID = "secret name"
        ds.save_as(path)
    with (tmp_path / "said").open("wb") as said:
        listener = start_listener(settings(our_port), tmp_path / "store", said)
    try:
        wait_for(lambda: answers(our_port))
        storescu(our_port, path, expect=0xC0)  # cannot understand
    finally:
        listener.kill()
        listener.wait()
    assert "secret" not in (tmp_path / "said").read_text()


def test_asking_a_node_does_not_import_torch(toml: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from anogan.cli.pacs import _open\n"
        f"_open(Path({str(toml)!r}), 'pacs').echo(); assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_queue_shows_what_is_quarantined_and_lets_it_go_on(anogan: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.open()
    for name, patient in (("a", "A-1"), ("b", "B-2")):
        write_study(tmp_path / name, "one", slices=1)
        (path,) = (tmp_path / name).iterdir()
        ds = dcmread(path)
        ds.PatientID = patient
        if name == "b":
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("one 7")
        ds.save_as(path)
        store.add(path, read_header(path))
    store.close()
    said = anogan("queue", tmp_path / "store")
    assert said.code == 1
    assert "1 quarantined, whose objects are of several patients; to keep what came first: anogan queue" in said.err
    assert "B-2" not in said.out + said.err
    said = anogan("queue", tmp_path / "store", "--keep-first", uid("one"))
    assert said.code == 0
    assert said.out.startswith("1 object deleted, the study goes on without\n")
    assert said.out.endswith("1 complete\n")
