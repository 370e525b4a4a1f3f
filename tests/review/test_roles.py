"""Who may do what, asked in the data layer for every method and role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desks import TEAM, new

from anogan.review import Desk, NotAllowed, Policy

METHODS: dict[str, tuple[Callable[[Desk, int], Any], set[str]]] = {
    "add": (lambda desk, id: desk.add(new(2)), {"reader", "second reader", "admin"}),
    "page": (lambda desk, id: desk.page(), {"reader", "second reader", "admin", "auditor"}),
    "counts": (lambda desk, id: desk.counts(), {"reader", "second reader", "admin", "auditor"}),
    "case": (lambda desk, id: desk.case(id), {"reader", "second reader", "admin", "auditor"}),
    "image": (lambda desk, id: desk.image(id), {"reader", "second reader", "admin", "auditor"}),
    "slices": (lambda desk, id: desk.slices(id), {"reader", "second reader", "admin", "auditor"}),
    "history": (lambda desk, id: desk.history("subject-1"), {"reader", "second reader", "admin", "auditor"}),
    "decisions": (lambda desk, id: desk.decisions(id), {"reader", "second reader", "admin", "auditor"}),
    "records": (lambda desk, id: list(desk.records()), {"reader", "second reader", "admin", "auditor"}),
    "signed": (lambda desk, id: desk.signed("key-1"), {"reader", "second reader", "admin", "auditor"}),
    "take": (lambda desk, id: desk.take(), {"reader", "second reader"}),
    "lease": (lambda desk, id: desk.lease(id), {"reader", "second reader"}),
    "decide": (lambda desk, id: desk.decide(id, 1, "dismiss", "artifact"), {"reader", "second reader"}),
    "reopen": (lambda desk, id: desk.reopen(id, 1), {"reader", "second reader"}),
    "sign": (lambda desk, id: desk.sign(id, 1), {"reader", "second reader"}),
    "members": (lambda desk, id: desk.members(), {"admin", "auditor"}),
    "set_role": (lambda desk, id: desk.set_role("new", "reader"), {"admin"}),
    "set_policy": (lambda desk, id: desk.set_policy(Policy(readings=2)), {"admin"}),
    "promote": (lambda desk, id: desk.promote("brain 2", "t2", "brain 1"), {"admin"}),
    "erase": (lambda desk, id: desk.erase("subject-1"), {"admin"}),
    "withdraw": (lambda desk, id: desk.withdraw("screening 1"), {"admin"}),
    "statistics": (lambda desk, id: desk.statistics(), {"reader", "second reader", "admin", "auditor"}),
    "arrivals": (lambda desk, id: desk.arrivals(), {"reader", "second reader", "admin", "auditor"}),
    "log": (lambda desk, id: desk.log(), {"auditor"}),
    "log_head": (lambda desk, id: desk.log_head(), {"auditor"}),
    "export_log": (lambda desk, id: list(desk.export_log()), {"auditor"}),
    "verify": (lambda desk, id: desk.verify(), {"auditor"}),
}


def test_every_public_method_is_listed() -> None:
    free = {"close", "sign_in", "reader", "policy", "add_many", "release"}  # release acts on one's own lease alone
    assert {name for name in vars(Desk) if not name.startswith("_")} == set(METHODS) | free


@pytest.mark.parametrize("name", METHODS)
def test_each_role_may_do_its_own(team: dict[str, Desk], name: str) -> None:
    method, allowed = METHODS[name]
    id = team["ana"].add(new(1))
    for user, role in TEAM.items():
        refused = False
        try:
            method(team[user], id)
        except NotAllowed as error:
            refused = True
            assert str(error).startswith(f"{user}: is {role} and may not ")
        except ValueError:
            pass  # allowed, and wrong by itself
        assert refused == (role not in allowed), role
    for stranger, words in (("zoe", "zoe: is no member of this desk"), ("local", "you must sign in to")):
        if name != "add" and (name, stranger) != ("withdraw", "local"):  # which is the server's
            with pytest.raises(NotAllowed, match=words):
                method(team["ana"].sign_in(stranger), id)


def test_whoever_opens_a_desk_can_add_cases(team: dict[str, Desk]) -> None:
    assert team["ana"].sign_in("local").add(new(1)) == 1


def test_a_role_ends_at_once(team: dict[str, Desk]) -> None:
    ana = team["ana"]
    ana.add(new(1))
    case = ana.take()
    assert case is not None
    team["ida"].set_role("ana", None)
    with pytest.raises(NotAllowed, match="ana: is no member"):
        ana.decide(case.id, case.version, "dismiss", "artifact")
    assert team["uwe"].members() == {user: role for user, role in TEAM.items() if user != "ana"}


def test_there_is_always_an_admin(desk: Desk) -> None:
    with pytest.raises(ValueError, match="ana: the desk needs an admin; make somebody else one first"):
        desk.set_role("ana", "reader")
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for role in ("reader", None):
        with pytest.raises(ValueError, match="ida: the desk needs an admin"):
            admin.set_role("ida", role)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zoe: is no member of this desk"):
        admin.set_role("zoe", None)
    with pytest.raises(ValueError, match="'local' can be nobody's name"):
        admin.set_role("local", "admin")
    with pytest.raises(ValueError, match="role: expected one of reader, second reader, admin, auditor, got 'king'"):
        admin.set_role("zoe", "king")  # type: ignore[arg-type]
