"""What each role sees and may do on the pages of the desk: reader, second reader, admin, auditor, and nobody."""

from __future__ import annotations

import pytest
from desks import TEAM
from shown import desk_pages, start
from streamlit.testing.v1 import AppTest

from anogan.review import Desk

pytestmark = pytest.mark.usefixtures("run")
READERS = ("ana", "eva")
MEMBERS = {user: role for user, role in TEAM.items() if user != "ben"}


def queue(reader: str) -> AppTest:
    return start(desk_pages, reader)


def case(reader: str) -> AppTest:
    app = queue(reader)
    app.selectbox(key="desk_state").set_value("All").run()
    app.button(key="open-0").click().run()
    assert not app.exception
    assert app.query_params["case"] == "1"
    return app


def offers(app: AppTest) -> set[str]:
    """Return what can be done: decide, and the keys of the buttons."""
    keys = {button.key for button in app.button}
    return ({"decide"} if "verdict-confirm" in keys else set()) | keys & {"take", "sign", "reopen"}


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.warning, app.error, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def decide(desk: Desk, user: str, verdict: str, reason: str) -> None:
    held = desk.sign_in(user).lease(1)
    desk.sign_in(user).decide(1, held.version, verdict, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("user", MEMBERS)
def test_every_role_sees_the_queue_and_may_export_and_readers_take(team_desk: Desk, user: str) -> None:
    app = queue(user)
    assert "0.012" in words(app)
    assert offers(app) == ({"take"} if user in READERS else set())
    assert [button.label for button in app.download_button] == ["Export CSV", "Export JSON"]


@pytest.mark.parametrize("user", MEMBERS)
def test_readers_decide_an_open_case_and_the_others_look_at_it(team_desk: Desk, user: str) -> None:
    app = case(user)
    assert offers(app) == ({"decide"} if user in READERS else set())
    assert "p = 0.012" in words(app)
    assert not app.warning, "who does not read is not told to wait"
    assert team_desk.case(1).reader == (user if user in READERS else "")


@pytest.mark.parametrize("user", MEMBERS)
def test_second_readers_alone_arbitrate(team_desk: Desk, user: str) -> None:
    decide(team_desk, "ben", "unsure", "poor quality")
    app = case(user)
    assert offers(app) == ({"decide"} if user == "eva" else set())
    assert ("arbitrat" in " ".join(one.value for one in app.warning)) == (user == "ana")


@pytest.mark.parametrize(
    ("user", "may"),
    [
        ("ben", {"sign", "reopen", "take"}),  # who has decided
        ("ana", {"take"}),
        ("eva", {"reopen", "take"}),
        ("ida", set()),
        ("uwe", set()),
    ],
)
def test_who_has_decided_signs_and_a_second_reader_may_take_it_back(team_desk: Desk, user: str, may: set[str]) -> None:
    decide(team_desk, "ben", "dismiss", "artifact")
    app = case(user)
    assert offers(app) == may
    assert "Dismiss" in words(app)


@pytest.mark.parametrize("user", ["eve", "local"])
def test_who_is_no_member_sees_a_sentence_and_nothing_else(team_desk: Desk, user: str) -> None:
    app = queue(user)
    assert offers(app) == set()
    assert not app.download_button
    assert "image 1" not in words(app)
    assert len(app.error) == 1
    who = {"eve": "eve: is no member of this desk and may not see cases", "local": "this desk has members, so you must"}
    assert app.error[0].value.replace("\\", "").startswith(who[user])
