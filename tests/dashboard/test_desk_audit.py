"""The audit page: the log newest first, whether it holds, its export; for those alone who may."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest
from shown import start

from anogan.dashboard import desk_audit
from anogan.review import Desk, NotAllowed, open_desk
from anogan.review.audit import START, link


def page() -> None:
    from anogan.dashboard import desk_audit

    desk_audit.page()


def test_the_log_is_shown_newest_first(team_desk: Desk) -> None:
    shown = start(page, "uwe").dataframe[0].value
    assert list(shown["Row"]) == [7, 6, 5, 4, 3, 2, 1]
    assert list(shown["What"])[-2:] == ["changed role", "added"]
    assert list(shown["Who"])[-2:] == ["local", "local"]
    assert json.loads(shown["Details"][1])["user"] == "ida"  # set again, as she was


def test_a_long_log_has_pages_that_meet(team_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_audit, "PAGE_LENGTH", 3)
    app = start(page, "uwe")
    assert list(app.dataframe[0].value["Row"]) == [7, 6, 5]
    app.number_input(key="audit_page").set_value(3).run()
    assert list(app.dataframe[0].value["Row"]) == [1]
    assert app.caption[-1].value == "Rows 1 to 1 of 7"


def test_verifying_tells_that_it_holds_or_which_row_does_not(team_desk: Desk, tmp_path: Path) -> None:
    app = start(page, "uwe")
    app.button(key="verify").click().run()
    head = team_desk.sign_in("uwe").log_head()
    assert app.success[0].value == f"7 rows hold; the last is `{head.hash}`"
    with sqlite3.connect(tmp_path / "desk.db") as raw:
        (trigger,) = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%UPDATE%'")
        raw.execute(f"DROP TRIGGER {trigger[0]}")
        raw.execute("UPDATE review_audit SET actor = 'eve' WHERE number = 2")
    app.button(key="verify").click().run()
    assert "does not hold" in app.error[0].value
    assert "row 2: was altered after it was written" in app.markdown[-1].value.replace("\\", "")


@pytest.mark.parametrize("user", ["ana", "eva", "ida", "eve", "local"])
def test_it_is_for_auditors_alone(team_desk: Desk, user: str) -> None:
    app = start(page, user)
    assert "may not see" in app.error[0].value or "must sign in" in app.error[0].value
    assert not app.dataframe
    assert not app.button
    for refused in (team_desk.sign_in(user).log_head, lambda: list(team_desk.sign_in(user).export_log())):
        with pytest.raises(NotAllowed):
            refused()


def test_the_export_holds_the_whole_log_and_is_logged(team_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anogan.review.desk._BATCH", 3)
    auditor = team_desk.sign_in("uwe")
    rows = json.loads(desk_audit.exported(auditor, "json"))["log"]
    assert [row["number"] for row in rows] == list(range(1, 9))
    assert (rows[-1]["actor"], rows[-1]["action"], rows[-1]["details"]) == ("uwe", "exported", {"log": True})
    hash = START
    for row in rows:  # whoever has the file can follow the chain
        details = json.dumps(row["details"], sort_keys=True, separators=(",", ":"))
        hash = link(hash, row | {"case_id": row["case"], "details": details})
        assert row["hash"] == hash
    table = list(csv.DictReader(io.StringIO(desk_audit.exported(auditor, "csv"))))
    assert [row["hash"] for row in table[:8]] == [row["hash"] for row in rows]
    assert len(table) == 9
    assert auditor.verify().faults == ()


def test_an_empty_log_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_DESK", str(tmp_path / "desk.db"))
    open_desk(tmp_path / "desk.db").close()
    assert start(page, "local").info[0].value == "Nothing has been done on this desk yet."
