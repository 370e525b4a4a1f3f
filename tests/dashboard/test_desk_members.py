"""The members page: an admin makes members and the policy; everybody else is refused."""

from __future__ import annotations

import pytest
from desks import TEAM
from shown import start
from streamlit.testing.v1 import AppTest

from anogan.review import Desk, Policy


def page() -> None:
    from anogan.dashboard import desk_members

    desk_members.page()


def save(app: AppTest, name: str, role: str | None) -> AppTest:
    app.text_input(key="member-name").set_value(name)
    app.selectbox(key="member-role").set_value(role)
    next(button for button in app.button if button.label == "Save member").click().run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return "\n".join(str(one.value) for kind in (app.error, app.success) for one in kind).replace("\\", "")


def test_the_first_member_is_an_admin(lone_desk: Desk) -> None:
    app = start(page, "local")
    assert app.info[0].value.startswith("Nobody is a member: this desk is that of one person.")
    assert "ana: the desk needs an admin; make somebody else one first" in words(save(app, "ana", "reader"))
    save(app, "ida", "admin")
    assert "this desk has members, so you must sign in" in words(app)
    assert lone_desk.sign_in("ida").members() == {"ida": "admin"}


def test_an_admin_adds_changes_and_removes_members(team_desk: Desk) -> None:
    app = start(page, "ida")
    assert dict(zip(app.table[0].value["Member"], app.table[0].value["Role"], strict=True)) == TEAM
    assert words(save(app, "ben", "second reader")) == "ben: second reader"
    assert words(save(app, "ana", "no member")) == "ana: no member"
    assert list(app.table[0].value["Member"]) == ["ben", "eva", "ida", "uwe"]
    assert team_desk.members() == {"ben": "second reader", "eva": "second reader", "ida": "admin", "uwe": "auditor"}
    assert words(save(app, "ida", "reader")) == "ida: the desk needs an admin; make somebody else one first"
    assert words(save(app, "zoe", None)) == "role: is not chosen; choose one"
    assert words(save(app, " ", "reader")).startswith("user: ' ' can be nobody's name on a desk")


def test_an_admin_changes_the_policy(team_desk: Desk) -> None:
    app = start(page, "ida")
    app.selectbox(key="policy-readings").set_value(2)
    app.toggle(key="policy-blind").set_value(True)
    app.number_input(key="policy-lease").set_value(60)
    next(button for button in app.button if button.label == "Save policy").click().run()
    assert words(app) == "The policy is changed."
    assert team_desk.policy == Policy(readings=2, blind_first=True, lease=60)


@pytest.mark.parametrize("user", ["ana", "eva", "uwe", "eve", "local"])
def test_it_is_for_admins_alone(team_desk: Desk, user: str) -> None:
    app = start(page, user)
    assert "may not administer the desk" in words(app) or "may not see cases" in words(app) or user == "local"
    assert app.error
    assert not app.table
    assert not app.button
