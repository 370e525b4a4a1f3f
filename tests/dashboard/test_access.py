"""Who sees which page: roles, blind readers, a sign-in that holds, has ended, or is a stranger's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from desks import TEAM
from streamlit.testing.v1 import AppTest

from anogan.dashboard import access
from anogan.review import Desk, Policy, openid

pytestmark = pytest.mark.usefixtures("run")
APP = Path(__file__).parents[2] / "anogan" / "dashboard" / "router.py"
JUDGMENTS = {"worklist", "case", "upload", "evaluation"}
BLIND = {"desk", "desk case", "desk statistics", "versions", "training", "model card", "health"}
ALL = BLIND | JUDGMENTS


@pytest.fixture
def signed_in(team_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return the team's desk on a dashboard that wants a sign-in."""
    monkeypatch.setenv("ANOGAN_SIGN_IN", "required")
    return team_desk


def start(name: str = "", claim: str = "", **claims: Any) -> AppTest:
    """Open the dashboard as somebody who has signed in, or as nobody."""
    app = AppTest.from_file(APP, default_timeout=600)
    app.secrets = {"auth": {}, "anogan": {"claim": claim} if claim else {}}
    if name:
        app.user = {"is_logged_in": True, "preferred_username": name, "exp": time.time() + 600} | claims
    app.run()
    assert not app.exception
    return app


def pages(app: AppTest) -> set[str]:
    return set(app.session_state["pages"]) if "pages" in app.session_state else set()


def errors(app: AppTest) -> list[str]:
    return [str(one.value).replace("\\", "") for one in app.error]


def buttons(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def test_without_settings_one_person_has_every_page_and_nobody_signs_in(lone_desk: Desk) -> None:
    app = start()
    assert pages(app) == ALL | {"audit", "members"}
    assert app.title[0].value == "Work list"
    assert not {"sign-in", "sign-out"} & buttons(app)


def test_a_dashboard_open_to_the_network_without_a_sign_in_shows_nothing(
    lone_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    option = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: "0.0.0.0" if name == "server.address" else option(name))
    app = start()
    assert not pages(app)
    assert errors(app)[0].startswith("This dashboard listens to the network though nobody signs in")
    monkeypatch.setattr(st, "get_option", lambda name: None if name == "server.address" else option(name))
    assert not pages(start())
    monkeypatch.setenv("ANOGAN_SIGN_IN", "required")
    assert buttons(start()) == {"sign-in"}


def test_nobody_sees_anything_before_the_sign_in(signed_in: Desk) -> None:
    app = start()
    assert buttons(app) == {"sign-in"}
    assert not pages(app)
    assert not errors(app)
    shown = " ".join(str(one.value) for kind in (app.title, app.markdown, app.caption) for one in kind)
    assert shown == "anogan Sign in to open the review desk. Decision support, not a diagnosis."


def test_settings_that_are_gone_or_broken_let_nobody_in(
    lone_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    from anogan.dashboard import sign_in

    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth")
    option = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: [str(broken)] if name == "secrets.files" else option(name))
    assert sign_in.required()
    broken.unlink()
    assert not sign_in.required()
    monkeypatch.setenv("ANOGAN_SIGN_IN", "required")
    app = AppTest.from_file(APP, default_timeout=600)
    app.user = {"is_logged_in": True, "preferred_username": "ana", "exp": time.time() + 600}
    app.run()
    assert errors(app) == ["The settings of the sign-in cannot be read; ask who runs this dashboard."]
    assert not pages(app)


@pytest.mark.parametrize(
    ("user", "more"),
    [("ana", set()), ("eva", set()), ("ida", {"members"}), ("uwe", {"audit"})],
    ids=["reader", "second reader", "admin", "auditor"],
)
def test_each_role_has_its_pages(signed_in: Desk, user: str, more: set[str]) -> None:
    app = start(user)
    assert pages(app) == ALL | more
    assert f"{user} · {TEAM[user]}" in [one.value for one in app.markdown]
    assert "sign-out" in buttons(app)


@pytest.mark.parametrize(
    ("user", "more"), [("ana", set()), ("eva", set()), ("ida", JUDGMENTS | {"members"}), ("uwe", JUDGMENTS | {"audit"})]
)
def test_who_reads_blind_has_no_page_with_scores(signed_in: Desk, user: str, more: set[str]) -> None:
    signed_in.set_policy(Policy(blind_first=True))
    app = start(user)
    assert pages(app) == BLIND | more
    if not more:
        assert app.title[0].value == "Desk", "what opens is the first page that is left"
        assert "desk_reader" not in {field.key for field in app.text_input}, "a name is not stated but signed in"


def test_what_a_person_may_not_see_is_not_even_known_to_the_router(
    signed_in: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    signed_in.set_policy(Policy(blind_first=True))
    known: dict[str, Any] = {}
    navigation = st.navigation

    def spy(menu: dict[str, list], **options: Any) -> Any:
        known.update({page.url_path: (page._page, page.visibility) for pages in menu.values() for page in pages})
        return navigation(menu, **options)

    monkeypatch.setattr(st, "navigation", spy)
    start("ana")
    assert set(known) == {"", *JUDGMENTS, *(name.replace(" ", "-") for name in BLIND), "audit", "members"}
    for address in (*JUDGMENTS, "audit", "members"):
        function, visibility = known[address]
        assert function.func is access._refuse
        assert visibility == "hidden"


@pytest.mark.parametrize(
    ("user", "blind", "menu"),
    [
        ("ida", False, {"": "worklist case upload desk desk-case", "Team": "desk-statistics members"}),
        ("uwe", True, {"": "worklist case upload desk desk-case", "Team": "desk-statistics audit"}),
        ("ana", True, {"": "desk desk-case", "Team": "desk-statistics"}),
    ],
)
def test_where_cases_are_read_is_one_click_away_and_the_rest_is_folded(
    signed_in: Desk, monkeypatch: pytest.MonkeyPatch, user: str, blind: bool, menu: dict[str, str]
) -> None:
    import streamlit as st

    signed_in.set_policy(Policy(blind_first=blind))
    shown: dict[str, str] = {}
    navigation = st.navigation

    def spy(menu: dict[str, list], **options: Any) -> Any:
        for section, pages in menu.items():
            shown[section] = " ".join(page.url_path for page in pages if page.visibility != "hidden")
        return navigation(menu, **options)

    monkeypatch.setattr(st, "navigation", spy)
    start(user)
    evaluation = "" if user == "ana" else "evaluation "
    assert shown == menu | {"Detector": f"{evaluation}training versions model-card health"}


def test_without_a_sign_in_a_blind_desk_hides_scores_from_who_is_named_and_from_strangers(team_desk: Desk) -> None:
    team_desk.set_policy(Policy(blind_first=True))
    app = start()
    assert pages(app) == BLIND
    assert "this desk has members, so you must sign in to see cases" in errors(app)[0]
    app.text_input(key="desk_reader").set_value("ana").run()
    assert pages(app) == BLIND
    app.text_input(key="desk_reader").set_value("uwe").run()
    assert pages(app) == ALL | {"audit"}


def test_a_stranger_is_refused_in_one_sentence_and_may_leave(signed_in: Desk) -> None:
    app = start("eve")
    assert errors(app) == ["eve: has signed in but is no member of this desk; ask its admin."]
    assert buttons(app) == {"sign-out"}
    assert not pages(app)
    signed_in.set_role("ben", None)
    assert not pages(start("ben")), "a membership that ends, ends at once"


def test_a_sign_in_does_not_make_anybody_the_one_person_of_a_desk(
    lone_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOGAN_SIGN_IN", "required")
    assert errors(start("local")) == ["local: can be nobody's name on a desk; ask the provider for another."]
    assert errors(start("ana")) == ["ana: has signed in but is no member of this desk; ask its admin."]
    monkeypatch.delenv("ANOGAN_DESK")
    app = start("ana")
    assert errors(app) == ["a sign-in needs a review desk, which knows its members; start the dashboard with --desk"]
    assert not pages(app)


def test_a_sign_in_ends_when_its_token_does_and_nothing_stays_behind(signed_in: Desk) -> None:
    app = start("ana")
    app.session_state["desk_case"] = "pixels"
    app.user["exp"] = time.time() - 1
    app.run()
    assert errors(app) == ["Your sign-in has ended; sign in again."]
    assert buttons(app) == {"sign-in"}
    assert "desk_case" not in app.session_state
    assert not pages(app)


def test_signing_out_empties_the_session(signed_in: Desk) -> None:
    app = start("ana")
    app.session_state["desk_case"] = "pixels"
    app.button(key="sign-out").click().run()
    assert not app.exception
    assert app.user["is_logged_in"] is False
    assert "desk_case" not in app.session_state
    app.run()
    assert buttons(app) == {"sign-in"}


def test_the_claim_that_names_a_member_is_a_setting(signed_in: Desk) -> None:
    signed_in.set_role("ana@example.org", "auditor")
    verified = {"email": "ana@example.org", "email_verified": True}
    assert "audit" in pages(start("ana", claim="email", **verified))
    assert errors(start("ana", claim="email", email="ana@example.org"))[0].startswith("The sign-in does not vouch")
    assert errors(start("ana", claim="sub"))[0].startswith("The sign-in gives no sub;")


@pytest.mark.parametrize("exp", [None, True, "4102444800", 999.0, 1000, float("nan")])
def test_an_id_token_without_time_left_holds_for_nobody(exp: Any) -> None:
    with pytest.raises(ValueError, match="Your sign-in has ended; sign in again"):
        openid.member({"preferred_username": "ana", "exp": exp}, openid.CLAIM, 1000.0)
    assert openid.member({"preferred_username": "ana", "exp": 1000.5}, openid.CLAIM, 1000.0) == "ana"


def test_a_page_is_closed_until_it_says_otherwise(signed_in: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from anogan.dashboard import pages as registry

    signed_in.set_policy(Policy(blind_first=True))
    new = registry.Listed(registry.PAGES["health"].page, "New", "star")
    monkeypatch.setattr(registry, "PAGES", {**registry.PAGES, "new": new})
    monkeypatch.setattr(access, "PAGES", registry.PAGES)
    assert "new" not in pages(start("ana"))
    assert "new" in pages(start("ida")), "an admin reads nothing blind"


def test_every_page_of_the_dashboard_is_in_the_registry() -> None:
    from anogan.dashboard import pages as registry

    folder = Path(registry.__file__).parent
    drawn = {path.stem for path in folder.glob("*.py") if "\ndef page() -> None:" in path.read_text(encoding="utf-8")}
    assert {listed.page.__module__.rpartition(".")[2] for listed in registry.PAGES.values()} == drawn
    assert [name for name, listed in registry.PAGES.items() if listed.judgments] == [
        "worklist",
        "case",
        "upload",
        "evaluation",
    ]
