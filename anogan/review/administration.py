"""Cases come in, members and the policy change, a person is erased."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from anogan.review import audit
from anogan.review.cases import Erased, NewCase, NotAllowed, Policy, expect
from anogan.review.roles import LOCAL, ROLES, Role
from anogan.review.tables import CaseRow, MemberRow, PolicyRow
from anogan.review.transaction import Transaction

_PICTURES = ("heatmap.png", "thumbnail.png", "maps.npz", "slice-*.png", "slices.npz", "results.json")


def add(tx: Transaction, cases: Sequence[NewCase]) -> list[int]:
    """Add cases; those whose key is known stay as they are. Return their numbers, in order."""
    tx.reader.need("add")
    rows = {case.key: _row(case, tx.now) for case in cases}
    insert = postgresql.insert if tx.session.get_bind().dialect.name == "postgresql" else sqlite.insert
    numbers: dict[str, int] = {}
    if rows:  # by key, so that two who add the same at once do not wait for each other in a circle
        made = insert(CaseRow).on_conflict_do_nothing(index_elements=["key"]).returning(CaseRow.id, CaseRow.key)
        new = {key: id for id, key in tx.session.execute(made, [rows[key] for key in sorted(rows)])}
        numbers |= new
        if new:
            judges = sorted({(rows[key]["detector"], rows[key]["threshold"]) for key in new})
            prints = {id: audit.case_fingerprint(rows[key] | {"id": id}) for key, id in sorted(new.items())}
            added = sorted(prints)
            tx.log("added", cases=added, fingerprints=[prints[id] for id in added], detectors=judges)
    known = [key for key in rows if key not in numbers]
    if known:
        found = select(CaseRow.key, CaseRow.id).where(CaseRow.key.in_(known))
        numbers |= {row.key: row.id for row in tx.session.execute(found)}
    return [numbers[case.key] for case in cases]


def set_role(tx: Transaction, user: str, role: Role | None) -> None:
    """Make a user a member, change the role, or with None end the membership."""
    tx.reader.need("administer")
    if not user.strip() or user == LOCAL:
        raise ValueError(f"user: {user!r} can be nobody's name on a desk; give the one that the sign-in gives")
    if role is not None:
        expect("role", role, ROLES)
    members = {row.user: row for row in tx.session.scalars(select(MemberRow).with_for_update())}
    before = members[user].role if user in members else ""
    admins = {name for name, row in members.items() if row.role == "admin"}
    if role != "admin" and not admins - {user}:
        raise ValueError(f"{user}: the desk needs an admin; make somebody else one first")
    if role is None and user not in members:
        raise ValueError(f"{user}: is no member of this desk")
    if role is None:
        tx.session.delete(members[user])
    else:
        tx.session.merge(MemberRow(user=user, role=role))
    tx.log("changed role", user=user, before=before, after=role or "")


def set_policy(tx: Transaction, policy: Policy) -> None:
    """Change how the desk works, from the next transaction on."""
    tx.reader.need("administer")
    values = {"readings": policy.readings, "blind_first": policy.blind_first, "lease": policy.lease}
    tx.session.merge(PolicyRow(id=1, **values))
    tx.log("changed policy", **values)


def promote(tx: Transaction, detector: str, threshold: str, replaced: str) -> None:
    """Write down that a detector version took another's place."""
    tx.reader.need("administer")
    tx.log("promoted", detector=detector, threshold=threshold, replaced=replaced)


def erase(tx: Transaction, subject: str) -> Erased:
    """Remove a person's pictures, then the cases with their decisions; the log keeps the numbers alone."""
    tx.reader.need("administer")
    if not subject:
        raise ValueError("subject: is empty; give the pseudonym as lists show it")
    rows = tx.session.execute(
        select(CaseRow.id, CaseRow.folder).where(CaseRow.subject == subject).order_by(CaseRow.id).with_for_update()
    ).all()
    if not rows:
        return Erased(0, ())
    folders = sorted({row.folder for row in rows if row.folder})
    elsewhere = tuple(folder for folder in folders if not _remove(Path(folder)))
    tx.session.execute(delete(CaseRow).where(CaseRow.subject == subject))  # decisions go with their case
    tx.log("erased", cases=[row.id for row in rows])
    return Erased(len(rows), elsewhere)


def withdraw(tx: Transaction, key: str, settled: bool) -> bool:
    """Remove a screening that its sender takes back, with its decisions; tell whether it is gone."""
    if tx.user != LOCAL:  # the server, whose keys say who may erase, acts as nobody else
        tx.reader.need("administer")
    row = tx.session.scalar(select(CaseRow).where(CaseRow.key == key).with_for_update())
    if row is None:
        return True
    if row.kind != "screening":
        raise NotAllowed(f"case {row.id}: is no screening, so its sender cannot take it back; erase its subject")
    if settled and row.state not in ("decided", "signed"):
        return False
    id = row.id
    tx.session.execute(delete(CaseRow).where(CaseRow.id == id))
    tx.log("erased", cases=[id])
    return True


def _remove(folder: Path) -> bool:
    """Remove the pictures in a case folder, nothing else; False if there is no such folder here."""
    if not folder.is_dir():
        return False
    for path in _paths(folder):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: what else lies there is not ours
        folder.rmdir()
    return True


def _paths(folder: Path) -> Iterable[Path]:
    return [path for pattern in _PICTURES for path in folder.glob(pattern)]


def _row(case: NewCase, now: float) -> dict[str, object]:
    return {
        "key": case.key,
        "kind": case.kind,
        "subject": case.subject,
        "title": case.title,
        "detector": case.detector,
        "threshold": case.threshold,
        "status": case.status,
        "reason": case.reason,
        "score": None if case.score is None else float(case.score),  # as the database gives them back
        "p_value": None if case.p_value is None else float(case.p_value),
        "flagged": None if case.flagged is None else bool(case.flagged),
        "folder": case.folder,
        "salt": secrets.token_hex(16),
        "added": now,
        "by_p": -1.0 if case.p_value is None else float(case.p_value),
        "by_priority": -int(case.priority),
    }
