"""`anogan desk`, `anogan audit`, and `anogan inspect --desk`."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from desks import new

from anogan.cli import use
from anogan.review import Query, cases_of, open_desk


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no table fold its cells."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    desk = open_desk(tmp_path / "desk.db")
    desk.add_many([new(1, p_value=0.01), new(2), new(3, p_value=None)])
    desk.close()
    return tmp_path / "desk.db"


def test_without_a_browser(anogan, path: Path, tmp_path: Path) -> None:
    listed = anogan("desk", "list", path).out
    assert listed.index("image 3") < listed.index("image 1") < listed.index("image 2")
    assert listed.endswith("3 cases: 3 open\n")
    said = anogan("desk", "decide", path, 1, "confirm", "--reason", "because")
    assert said.err.startswith("anogan: reason of confirm: expected one of abnormal finding, ")
    assert anogan("desk", "decide", path, 1, "confirm", "--reason", "manipulation", "--sign").out == "case 1: signed\n"
    shown = json.loads(anogan("desk", "show", path, 1).out)
    assert (shown["state"], shown["decisions"][0]["reason"]) == ("signed", "manipulation")
    assert anogan("desk", "list", path, "--state", "signed").out.endswith("1 cases: 1 signed\n")
    assert anogan("desk", "export", path, tmp_path / "out.csv", "--flagged").out.startswith("1 cases are in ")
    assert anogan("desk", "sheet", path, 1, tmp_path / "case.html").out.startswith("case 1 is in ")
    assert "<h1>" in (tmp_path / "case.html").read_text(encoding="utf-8")
    assert anogan("desk", "erase", path, "subject-1").out == "erased: 1 case\n"
    assert anogan("audit", "verify", path).code == 0


def test_a_number_beyond_all_cases_is_a_sentence(anogan, path: Path, tmp_path: Path) -> None:
    number = "99999999999999999999"
    for more in (("show",), ("decide", "confirm", "--reason", "manipulation"), ("sheet", tmp_path / "out.html")):
        said = anogan("desk", more[0], path, number, *more[1:])
        assert (said.code, said.err) == (1, f"anogan: case {number}: there is none; it may have been erased")


def test_a_team(anogan, path: Path) -> None:
    assert "the desk needs an admin" in anogan("desk", "member", path, "ana", "reader").err
    anogan("desk", "member", path, "ida", "admin")
    assert anogan("desk", "list", path).err == "anogan: this desk has members, so you must sign in to see cases"
    assert anogan("desk", "member", path, "ana", "reader", "--as", "ida").out == "ana: reader\n"
    policy = anogan("desk", "policy", path, "--blind-first", "--readings", 2, "--as", "ida")
    assert json.loads(policy.out) == {"readings": 2, "blind_first": True, "lease": 900}
    said = anogan("desk", "decide", path, 1, "dismiss", "--reason", "artifact", "--as", "ana")
    assert said.out.startswith("case 1: noted before the score is shown; look at it")
    said = anogan("desk", "decide", path, 1, "confirm", "--reason", "manipulation", "--as", "ana")
    assert said.out == "case 1: second reading\n"
    assert anogan("desk", "list", path, "--as", "ana").code == 0


def test_audit_verify(anogan, path: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "head.json"
    said = anogan("audit", "verify", path, "--anchor", anchor)
    assert said.code == 1
    assert f"{anchor}: cannot be read (No such file or directory)" in said.err, "a name with a slip checks nothing"
    assert anogan("audit", "anchor", path, anchor).out.startswith(
        f"{anchor} keeps the end of the log: 1 rows, the last"
    )
    said = anogan("audit", "anchor", path, anchor)
    assert (said.code, "exists already" in said.err) == (1, True)
    anogan("desk", "show", path, 1)
    said = anogan("audit", "verify", path, "--anchor", anchor)
    assert said.out.startswith("2 rows hold, those of the anchor (1) among them; the last is ")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER review_audit_no_delete")
        connection.execute("DELETE FROM review_audit WHERE number = 2")
    assert anogan("audit", "verify", path).code == 0
    said = anogan("audit", "verify", path, "--anchor", anchor)
    assert said.code == 1
    assert "row 2: is missing, up to row 2; the log was cut off at its end\n" in said.err
    assert json.loads(anchor.read_text())["count"] == 2, "an anchor that found something stays"
    said = anogan("audit", "verify", tmp_path / "none.db")
    assert said.err == f"anogan: {tmp_path / 'none.db'}: there is no such file"
    assert not (tmp_path / "none.db").exists()


def test_a_desk_on_media_that_cannot_be_written_is_verified(anogan, path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert anogan("audit", "verify", path).out.startswith("1 rows hold; the last is ")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before, "no file is made or changed"
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(b"changes")
    said = anogan("audit", "verify", path)
    assert f"{log}: holds the last changes, which cannot be read from here; copy both files elsewhere" in said.err
    assert said.code == 1


def test_a_desk_of_before_is_not_verified_half(anogan, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE review_version SET version_num = '0001'")
    said = anogan("audit", "verify", path)
    assert said.code == 1
    assert "desk.db: its tables are not those of this anogan; open the desk, or a copy of it" in said.err


def test_inspect_puts_cases_on_the_desk(anogan, tiny_run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    database, results = tmp_path / "desk.db", tmp_path / "results"
    images = sorted((tiny_folder / "abnormal").iterdir())[:2]
    (tmp_path / "torn.png").write_bytes(b"torn")
    for _ in range(2):
        said = anogan("inspect", tiny_run, *images, tmp_path / "torn.png", "--out", results, "--desk", database)
        assert said.out.endswith("3 cases are on the review desk\n")
        assert said.err.endswith("anogan: 1 file not scored")
    desk = open_desk(database)
    cases = desk.page().cases
    assert [case.status for case in cases] == ["not scored", "scored", "scored"]
    assert {case.title for case in cases} == {*(image.name for image in images), "torn.png"}
    for case in cases[1:]:
        assert (Path(case.folder) / "heatmap.png").is_file()
        assert desk.image(case.id).shape[:2] == (48, 48)
        assert case.threshold
    assert {case.key for case in cases_of(results)} == {case.key for case in cases}  # type: ignore[attr-defined]
    assert desk.counts(Query(status="not scored")) == {"open": 1}
    said = anogan("inspect", tiny_run, *images, "--out", tmp_path / "other", "--desk", "nowhere/desk.db")
    assert said.err == "anogan: nowhere/desk.db: there is no such folder; make it first"
    assert not (tmp_path / "other").exists()


def test_the_dashboard_is_told_of_the_desk_wherever_its_server_starts(
    anogan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[object, ...]] = []
    monkeypatch.setattr(use, "serve", lambda *given: served.append(given))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "profile.toml").write_text("")
    anogan("dashboard", "run", "--desk", "desk.db")
    assert served == [(Path("run"), 8501, str(tmp_path / "desk.db"), "127.0.0.1", None, "")]
    assert "nowhere/desk.db: there is no such folder" in anogan("dashboard", "run", "--desk", "nowhere/desk.db").err
    assert len(served) == 1
