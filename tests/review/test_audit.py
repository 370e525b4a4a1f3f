"""The log: what is in it, what it refuses, and that no change of it goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from desks import new
from postgres import Postgres, name_of
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import SQLAlchemyError

from anogan.review import Desk, Head, Policy, audit, open_desk
from anogan.review import database as place
from anogan.review.tables import AuditRow, CaseRow

SECRET = "Mrs Example has a cat"


@pytest.fixture
def worked(desk: Desk) -> Desk:
    """Return a desk with a log of eleven rows."""
    desk.add_many([new(1, subject="a"), new(2, subject="b"), new(3, subject="a")])  # row 1
    for id in (1, 2, 3):  # rows 2 to 7
        case = desk.lease(id)
        desk.decide(id, case.version, "confirm", "other", SECRET)
    desk.sign(1, 2)
    desk.case(2)
    list(desk.records())
    desk.promote("brain 2", "t2", "brain 1")
    return desk


def behind_its_back(database: str, *statements: str) -> None:
    """Change the database as its owner who has switched the triggers off."""
    engine = place.connect(database)
    with engine.execution_options(write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE review_audit DISABLE TRIGGER ALL"))
        else:
            for name in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER review_audit_no_{name}"))
        for statement in statements:
            connection.execute(text(statement))
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE review_audit ENABLE TRIGGER ALL"))
    engine.dispose()


def verified(database: str) -> tuple[str, ...]:
    """Return the faults, whoever may do what on the desk."""
    engine = place.connect_to_read(database)
    with place.snapshot(engine) as connection:
        faults = audit.verify(connection).faults
    engine.dispose()
    return faults


def rechain(connection: Connection) -> None:
    """Make all hashes anew, as a forger would who has read the code."""
    previous = audit.START
    for row in connection.execute(text("SELECT * FROM review_audit ORDER BY number")).mappings().all():
        digest = audit.link(previous, dict(row))
        values = {"p": previous, "h": digest, "n": row["number"]}
        connection.execute(text("UPDATE review_audit SET previous = :p, hash = :h WHERE number = :n"), values)
        previous = digest


def test_every_step_is_a_row(worked: Desk) -> None:
    log = worked.log()
    assert [entry.action for entry in log] == [
        *("added", "saw", "decided", "saw", "decided", "saw", "decided"),
        *("signed", "saw", "exported", "promoted"),
    ]
    assert [entry.number for entry in log] == list(range(1, 12))
    assert {entry.actor for entry in log} == {"local"}
    decided = log[2]
    assert decided.case == 1
    assert decided.details["detector"] == "brain 0123456789abcdef"
    assert decided.details["threshold"] == "t1"
    assert (decided.details["verdict"], decided.details["state"]) == ("confirm", "decided")
    assert log[10].details == {"detector": "brain 2", "threshold": "t2", "replaced": "brain 1"}
    assert worked.log(after=9, size=1)[0].action == "exported"


def test_the_hash_by_hand() -> None:
    row = {
        "number": 1,
        "at": "2026-01-01T00:00:00+00:00",
        "actor": "ana",
        "action": "saw",
        "case_id": 7,
        "details": "{}",
    }
    content = '{"action":"saw","actor":"ana","at":"2026-01-01T00:00:00+00:00","case_id":7,"details":"{}","number":1}'
    assert audit.link("0" * 64, row) == hashlib.sha256(b"0" * 64 + content.encode()).hexdigest()


def test_it_holds(worked: Desk, database: str) -> None:
    found = worked.verify()
    assert found.faults == ()
    assert found.head == Head(11, worked.log(after=10)[0].hash)
    assert worked.verify(found.head).faults == ()


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["UPDATE review_audit SET actor = 'eva' WHERE number = 5"], "row 5: was altered after it was written"),
        (["UPDATE review_audit SET at = '2020' WHERE number = 1"], "row 1: was altered after it was written"),
        (["UPDATE review_audit SET case_id = 9 WHERE number = 11"], "row 11: was altered after it was written"),
        (["DELETE FROM review_audit WHERE number = 5"], "row 5: is missing; row 6 comes next"),
        (["DELETE FROM review_audit WHERE number = 1"], "row 1: is missing; row 2 comes next"),
        (
            ["DELETE FROM review_audit WHERE number = 5", "UPDATE review_audit SET number = 5 WHERE number = 6"],
            "row 5: does not follow row 4; one of them was altered or replaced",
        ),
        (
            [
                "UPDATE review_audit SET number = 99 WHERE number = 4",
                "UPDATE review_audit SET number = 4 WHERE number = 5",
                "UPDATE review_audit SET number = 5 WHERE number = 99",
            ],
            "row 4: does not follow row 3; one of them was altered or replaced",
        ),
        (
            ["UPDATE review_decision SET verdict = 'dismiss' WHERE id = 2"],
            "decision 2: was altered after it was logged",
        ),
        (["UPDATE review_decision SET text = 'no cat' WHERE id = 3"], "decision 3: was altered after it was logged"),
        (["DELETE FROM review_decision WHERE id = 1"], "decision 1: was removed, not by an erasure"),
        (
            ["UPDATE review_case SET state = 'signed' WHERE id = 2"],
            "case 2: is signed confirm (version 2), the log says decided confirm (version 2)",
        ),
        (
            ["UPDATE review_case SET verdict = 'dismiss' WHERE id = 2"],
            "case 2: is decided dismiss (version 2), the log says decided confirm (version 2)",
        ),
        (
            ["UPDATE review_case SET signed_by = 'eva' WHERE id = 1"],
            "case 1: is signed confirm eva 2027-01-15T08:00:00.000000+00:00 (version 3), "
            "the log says signed confirm local 2027-01-15T08:00:00.000000+00:00 (version 3)",
        ),
        (
            ["UPDATE review_case SET signed = signed + 86400 WHERE id = 1"],
            "case 1: is signed confirm local 2027-01-16T08:00:00.000000+00:00 (version 3), "
            "the log says signed confirm local 2027-01-15T08:00:00.000000+00:00 (version 3)",
        ),
        (
            ["UPDATE review_case SET version = 9 WHERE id = 3"],
            "case 3: is decided confirm (version 9), the log says decided confirm (version 2)",
        ),
        (["INSERT INTO review_member VALUES ('eva', 'admin')"], "member eva: is admin, the log says none"),
        (["INSERT INTO review_policy VALUES (1, 1, false, 60)"], "policy: is another than the log says"),
        (["DELETE FROM review_case WHERE id = 3"], "case 3: was removed, not by an erasure"),
    ],
)
def test_a_change_is_found(worked: Desk, database: str, statements: list[str], fault: str) -> None:
    behind_its_back(database, *statements)
    assert fault in verified(database)


@pytest.mark.parametrize(
    "change",
    [
        "key = 'another'", "kind = 'series'", "subject = 'b'", "title = 'image 9'", "detector = 'brain 2'",
        "threshold = 't2'", "status = 'not scored'", "reason = 'no face'", "score = 0.25", "score = NULL",
        "p_value = 0.001", "flagged = true", "flagged = NULL", "folder = '/elsewhere'", "added = added - 1",
        "by_p = 0.0", "by_priority = -9", "salt = ''",
    ],
)  # fmt: skip
def test_what_a_case_says_is_covered_column_by_column(worked: Desk, database: str, change: str) -> None:
    behind_its_back(database, f"UPDATE review_case SET {change} WHERE id = 1")
    assert worked.verify().faults == ("case 1: what it says was altered after it was logged",)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("review_case SET score = 9e999 WHERE id = 1", "case 1: what it says was altered after it was logged"),
        ("review_case SET title = x'ff' WHERE id = 1", "case 1: what it says was altered after it was logged"),
        ("review_case SET salt = x'ff' WHERE id = 1", "case 1: what it says was altered after it was logged"),
        ("review_case SET signed = 'never' WHERE id = 1", "case 1: is signed confirm local never (version 3), "),
        ("review_case SET signed = x'00' WHERE id = 1", "case 1: is signed confirm local b'\\x00' (version 3), "),
        ("review_case SET signed = 1e300 WHERE id = 1", "case 1: is signed confirm local 1e+300 (version 3), "),
        ("review_decision SET text = x'ff' WHERE id = 1", "decision 1: was altered after it was logged"),
        ("review_decision SET seconds = 9e999 WHERE id = 1", "decision 1: was altered after it was logged"),
        ("review_audit SET details = x'ff00' WHERE number = 3", "row 3: was altered after it was written"),
        ("review_audit SET actor = x'ff' WHERE number = 3", "row 3: was altered after it was written"),
    ],
)
def test_a_value_that_no_desk_writes_is_a_fault_too(tmp_path: Path, change: str, fault: str) -> None:
    """SQLite keeps what is no text in a column of texts, and what is no number in one of numbers."""
    database = str(tmp_path / "desk.db")
    desk = open_desk(database)
    desk.add(new(1))
    desk.decide(1, desk.lease(1).version, "confirm", "other", SECRET)
    desk.sign(1, 2)
    desk.close()
    behind_its_back(database, f"UPDATE {change}")
    assert any(found.startswith(fault) for found in verified(database)), verified(database)


@pytest.mark.parametrize(
    ("action", "details"),
    [
        ("added", "{}"),
        ("added", '{"cases": 3}'),
        ("saw", "nonsense"),
        ("saw", "[1]"),
        ("sealed", '{"cases": [1, 2], "fingerprints": ["x"]}'),
        ("decided", '{"decision": 9}'),
        ("decided", '{"state": "decided"}'),
        ("changed role", "{}"),
    ],
)
def test_a_row_that_no_desk_writes_is_a_fault_though_its_hash_fits(
    worked: Desk, database: str, action: str, details: str
) -> None:
    last = worked.verify().head
    row = {"number": 12, "at": "2027", "actor": "eva", "action": action, "case_id": 1, "details": details}
    engine = place.connect(database)
    with engine.execution_options(write=True).begin() as connection:
        values = row | {"previous": last.hash, "hash": audit.link(last.hash, row)}
        connection.execute(insert(AuditRow).values(values))
    engine.dispose()
    assert verified(database) == ("row 12: says nothing that a desk writes",)


def test_no_column_of_a_case_is_forgotten() -> None:
    state = {"state", "verdict", "signed_by", "signed", "version"}
    reading = {"reader", "leased", "until"}  # who has it open just now: nothing that lasts
    assert {column.name for column in CaseRow.__table__.columns} == {*audit.CASE, "salt"} | state | reading


def test_members_and_policy_are_covered(desk: Desk, database: str) -> None:
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    admin.set_role("ana", "reader")
    admin.set_role("ben", "reader")
    admin.set_role("ben", None)
    admin.set_policy(Policy(readings=2))
    admin.set_policy(Policy(readings=2, lease=60))
    assert verified(database) == ()
    behind_its_back(database, "UPDATE review_member SET role = 'second reader' WHERE \"user\" = 'ana'")
    assert verified(database) == ("member ana: is second reader, the log says reader",)
    engine = place.connect(database)
    with engine.execution_options(write=True).begin() as connection:
        connection.execute(text("DELETE FROM review_member WHERE \"user\" = 'ana'"))
        connection.execute(text("UPDATE review_policy SET readings = 1"))
    engine.dispose()
    assert verified(database) == ("member ana: is none, the log says reader", "policy: is another than the log says")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_desk_of_before_is_sealed_when_it_is_opened(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The tables and rows are those of revision 0001."""
    database = str(tmp_path / "old.db") if kind == "sqlite" else request.getfixturevalue("postgres").url()
    engine = place.connect(database)
    columns = [name for name in audit.CASE if name != "id"]
    case = {
        "key": "k", "kind": "image", "subject": "s", "title": "t", "detector": "d", "threshold": "", "status": "scored",
        "reason": "", "score": 0.1 + 0.2, "p_value": 0.05, "flagged": True, "folder": "", "added": 1.5, "by_p": 0.05,
        "by_priority": 0,
    }  # fmt: skip
    with engine.execution_options(write=True).begin() as connection:
        config = place._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = [*columns, "state", "version", "reader", "leased", "until", "signed_by"]
        values = ", ".join(f":{name}" for name in columns)
        for number in range(3):
            connection.execute(
                text(f"INSERT INTO review_case ({', '.join(names)}) VALUES ({values}, 'open', 1, '', 0, 0, '')"),
                case | {"key": f"k{number}", "flagged": (True, False, None)[number]},
            )
        connection.execute(text("INSERT INTO review_member VALUES ('ida', 'admin')"))
        role = {"user": "ida", "before": "", "after": "admin"}
        audit.append(connection, 1.0, "local", "changed role", None, role)
        audit.append(connection, 2.0, "local", "added", None, {"cases": [1, 2, 3], "detectors": [["d", ""]]})
    engine.dispose()
    desk = open_desk(database, "ida")
    assert [(case.key, case.flagged, case.score) for case in desk.page().cases] == [
        ("k0", True, 0.1 + 0.2),
        ("k1", False, 0.1 + 0.2),
        ("k2", None, 0.1 + 0.2),
    ]
    assert verified(database) == ()
    desk.set_role("uwe", "auditor")
    last = desk.sign_in("uwe").log()[2]
    assert (last.number, last.action, last.actor, last.details["cases"]) == (3, "sealed", "update", [1, 2, 3])
    behind_its_back(database, "UPDATE review_case SET subject = 'x' WHERE id = 2")
    assert verified(database) == ("case 2: what it says was altered after it was logged",)
    desk.close()


def test_every_column_of_every_row_counts(worked: Desk, database: str) -> None:
    engine = place.connect(database)
    behind_its_back(database)
    with engine.execution_options(write=True).connect() as connection:
        for number in range(1, 12):
            for column in ("at", "actor", "action", "details", "previous", "hash"):
                with connection.begin() as changed:
                    if engine.dialect.name == "postgresql":
                        connection.execute(text("ALTER TABLE review_audit DISABLE TRIGGER ALL"))
                    value = "'{}'" if column == "details" else f"{column} || 'x'"
                    connection.execute(text(f"UPDATE review_audit SET {column} = {value} WHERE number = {number}"))
                    assert audit.verify(connection).faults, (number, column)
                    changed.rollback()
    engine.dispose()


def test_rows_cut_off_are_found_by_the_anchor_alone(worked: Desk, database: str, tmp_path: Path) -> None:
    anchor = tmp_path / "head.json"
    audit.write_anchor(anchor, worked.verify().head)
    behind_its_back(database, "DELETE FROM review_audit WHERE number > 9")
    assert worked.verify().faults == (), "the chain alone cannot know"
    cut = "row 10: is missing, up to row 11; the log was cut off at its end"
    assert worked.verify(audit.read_anchor(anchor)).faults == (cut,)


def test_a_chain_made_anew_is_found_by_the_anchor_alone(worked: Desk, database: str) -> None:
    head = worked.verify().head
    behind_its_back(database, "UPDATE review_audit SET actor = 'eva' WHERE number = 9")
    engine = place.connect(database)
    if engine.dialect.name == "postgresql":
        behind_its_back(database)
    with engine.execution_options(write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE review_audit DISABLE TRIGGER ALL"))
        rechain(connection)
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE review_audit ENABLE TRIGGER ALL"))
    engine.dispose()
    assert worked.verify().faults == ()
    assert worked.verify(head).faults == ("row 11: is not the one that the anchor names; the log was made anew",)
    worked.case(1)
    assert len(worked.verify(head).faults) == 1, "also once the log is longer than it was"


def test_an_anchor_cannot_be_made_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "head.json"
    audit.write_anchor(path, Head(3, "ab"))
    assert audit.read_anchor(path) == Head(3, "ab")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"count": 2}))
    with pytest.raises(ValueError, match="head.json: its seal does not hold"):
        audit.read_anchor(path)
    path.write_text(json.dumps(kept))
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", "another key of another site")
    with pytest.raises(ValueError, match="its seal does not hold"):
        audit.read_anchor(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="is no anchor of an audit log, or is damaged"):
        audit.read_anchor(path)


def test_the_database_refuses_to_change_it(worked: Desk, database: str) -> None:
    engine = place.connect(database)
    sqlite = "INSERT OR REPLACE INTO review_audit VALUES (11, '', '', '', NULL, '{}', '', '')"
    for statement in (
        "UPDATE review_audit SET actor = 'eva' WHERE number = 2",
        "DELETE FROM review_audit WHERE number = 11",
        "DELETE FROM review_audit",
        "TRUNCATE review_audit" if engine.dialect.name == "postgresql" else sqlite,
    ):
        with pytest.raises(SQLAlchemyError, match="the audit log is append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert worked.verify().faults == ()


def test_the_application_role_can_add_and_nothing_else(postgres: Postgres) -> None:
    url = postgres.url()
    name = name_of(url)
    owner = open_desk(url)
    owner.add(new(1))
    postgres.execute(name, "DROP ROLE IF EXISTS desk_app", "CREATE ROLE desk_app LOGIN")
    with pytest.raises(ValueError, match='nobody cannot be let in .*role "nobody" does not exist'):
        place.grant(place.connect(url), "nobody")
    place.grant(place.connect(url), "desk_app")
    app = open_desk(postgres.as_user("desk_app", name))
    case = app.take()
    assert case is not None
    app.decide(case.id, case.version, "dismiss", "artifact")
    assert app.erase("subject-1").cases == 1
    app.add(new(2))
    assert app.verify().faults == ()
    engine = place.connect(postgres.as_user("desk_app", name))
    for statement, words in (
        ("UPDATE review_audit SET actor = 'eva'", "permission denied for table review_audit"),
        ("DELETE FROM review_audit", "permission denied for table review_audit"),
        ("TRUNCATE review_audit", "permission denied for table review_audit"),
        ("DROP TABLE review_audit", "must be owner of table review_audit"),
        ("ALTER TABLE review_audit DISABLE TRIGGER ALL", "must be owner of table review_audit"),
        ("DROP TRIGGER review_audit_append_only ON review_audit", "must be owner of relation review_audit"),
        ("UPDATE review_version SET version_num = '0'", "permission denied for table review_version"),
        ("SET session_replication_role = replica", "permission denied to set parameter"),
    ):
        with pytest.raises(SQLAlchemyError, match=words), engine.begin() as connection:
            connection.execute(text(statement))
    for each in (engine, app, owner):
        (each.dispose if each is engine else each.close)()  # type: ignore[union-attr]


def test_a_person_is_erased_and_the_log_holds(worked: Desk, database: str, tmp_path: Path) -> None:
    here = tmp_path / "cases" / "one"
    here.mkdir(parents=True)
    for name in ("heatmap.png", "maps.npz", "slice-0003.png", "slices.npz", "thumbnail.png", "results.json"):
        (here / name).touch()
    shared = tmp_path / "cases" / "two"
    shared.mkdir()
    (shared / "somebody-elses.txt").touch()
    folders = [str(here), str(shared), "/not/here"]
    worked.add_many([new(number, subject="a", folder=folder) for number, folder in enumerate(folders, start=10)])
    erased = worked.erase("a")
    assert (erased.cases, erased.elsewhere) == (5, ("/not/here",))
    assert not here.exists()
    assert [path.name for path in shared.iterdir()] == ["somebody-elses.txt"]
    assert [case.id for case in worked.page().cases] == [2]
    assert worked.decisions(1) == ()
    assert worked.verify().faults == ()
    last = worked.log(after=12)[0]
    assert (last.action, last.details) == ("erased", {"cases": [1, 3, 4, 5, 6]})
    assert worked.erase("a").cases == 0
    assert worked.add(new(20)) == 7, "a number is never used again"
    worked.close()
    if "://" not in database:  # nothing of the person is left in the pages of the file
        for path in Path(database).parent.glob("desk.db*"):
            assert b"key-10" not in path.read_bytes(), path


def test_the_log_names_no_person_and_holds_no_words(worked: Desk, database: str) -> None:
    engine = place.connect(database)
    with engine.connect() as connection:
        rows = json.dumps([list(row) for row in connection.execute(text("SELECT * FROM review_audit"))])
    engine.dispose()
    for words in (SECRET, "subject-", '"a"', "key-1", "image 1"):
        assert words not in rows
    texts: dict[str, Any] = {
        entry.details["fingerprint"]: entry.case for entry in worked.log() if "fingerprint" in entry.details
    }
    assert len(texts) == 3, "equal decisions have different salts"
