"""A real browser, the real command and an OpenID provider on this machine: sign in, be refused, run out, sign out."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import tomli_w
from desks import TEAM

from anogan.review import Desk, Policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

mock = pytest.importorskip("oidc_provider_mock", reason="oidc-provider-mock is not installed")
PROVIDER = 1  # above the port of the dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def address(run: Path, team_desk: Desk, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start the dashboard of that desk for people who sign in."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the provider of the test has no TLS
    (run / "profile.toml").touch()
    settings = {
        "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
        "cookie_secret": "0123456789abcdef" * 2,
        "client_id": "anogan",
        "client_secret": "nobody knows",
        "server_metadata_url": f"http://localhost:{port + PROVIDER}/.well-known/openid-configuration",
    }
    (tmp_path / "sign-in.toml").write_text(tomli_w.dumps({"auth": settings}), encoding="utf-8")
    options = ["--desk", str(tmp_path / "desk.db"), "--sign-in", str(tmp_path / "sign-in.toml"), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "ANOGAN_DESK"}
    server = subprocess.Popen(
        [sys.executable, "-m", "anogan", "dashboard", str(run), *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"the dashboard is open at http://127.0.0.1:{port} (Ctrl-C closes it)\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def provider(port: int, seconds: int = 3600) -> AbstractContextManager:
    """Serve the OpenID provider; what it gives holds for so many seconds."""
    users = [mock.User(sub=f"id-of-{name}", claims={"preferred_username": name}) for name in (*TEAM, "eve")]
    age = datetime.timedelta(seconds=seconds)
    return mock.run_server_in_thread(port + PROVIDER, user_claims=users, access_token_max_age=age)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(60_000)

    def stay_here(route: Route) -> None:  # the provider's page wants a style sheet of somebody else's
        here = urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost")
        route.continue_() if here else route.abort()

    context.route("**/*", stay_here)
    yield context.new_page()
    context.close()


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=f"id-of-{name}").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    page.get_by_role("button", name="Sign in").wait_for()


def heading(page: Page, name: str) -> None:
    page.get_by_role("heading", name=name, exact=True).wait_for()


def links(page: Page) -> set[str]:
    """Return the names of all pages in the menu, also of those that it folds away."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    found = page.locator('[data-testid="stTopNavLink"]').all_inner_texts()
    for section in page.locator('[data-testid="stTopNavSection"]').all():
        section.click()
        folded = page.locator('[data-testid="stTopNavDropdownLink"]')
        folded.first.wait_for()
        found += folded.all_inner_texts()
        page.keyboard.press("Escape")
        folded.first.wait_for(state="hidden")
    return {name.split("\n")[-1] for name in found}


def test_people_sign_in_see_what_their_role_has_and_sign_out(
    page: Page, address: str, port: int, team_desk: Desk
) -> None:
    with provider(port):
        page.goto(f"{address}/desk")
        page.get_by_role("button", name="Sign in").wait_for()
        assert links(page) == set()
        assert page.get_by_text("image 1").count() == 0

        sign_in(page, "ana")
        page.get_by_text("ana · reader").wait_for()
        page.goto(f"{address}/desk")
        page.get_by_text("image 1").wait_for()
        page.get_by_role("button", name="Take the next case").wait_for()
        assert {"Work list", "Evaluation", "Desk"} <= links(page)
        assert not {"Audit", "Members"} & links(page)

        page.goto(f"{address}/audit")
        page.get_by_text("This page is not for your role on the desk.").wait_for()
        team_desk.set_policy(Policy(blind_first=True))
        for typed in ("worklist", "case", "upload", "evaluation"):
            page.goto(f"{address}/{typed}")
            page.get_by_text("so pages that show scores are not for its readers").wait_for()
            assert links(page) == {
                *("Desk", "Desk case", "Work of the desk"),
                *("Training", "Versions", "Model card", "Health"),
            }
            assert page.locator("img").count() == 0
        page.goto(address)
        heading(page, "Desk")
        sign_out(page)
        page.goto(f"{address}/desk")
        page.get_by_role("button", name="Sign in").wait_for()

        sign_in(page, "eve")
        page.get_by_text("eve: has signed in but is no member of this desk; ask its admin.").wait_for()
        assert links(page) == set()
        sign_out(page)

        sign_in(page, "uwe")
        page.get_by_text("uwe · auditor").wait_for()
        page.goto(f"{address}/audit")
        page.get_by_role("button", name="Verify the log").click()
        page.get_by_text("rows hold; the last is").wait_for()


def test_a_sign_in_that_runs_out_ends_though_nobody_clicks(page: Page, address: str, port: int) -> None:
    with provider(port, seconds=15):
        page.goto(address)
        sign_in(page, "ana")
        page.get_by_text("ana · reader").wait_for()
        page.get_by_text("Your sign-in has ended; sign in again.").wait_for()
        page.reload()  # the cookie lives on, and does not help
        page.get_by_text("Your sign-in has ended; sign in again.").wait_for()
        assert links(page) == set()
        sign_in(page, "ana")
        page.get_by_text("ana · reader").wait_for()
