"""A real browser, the real command and an OpenID provider on this machine: sign in, be refused, run out, sign out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from provider import at_rest, dashboard, provider, sign_in, sign_out, visitor

from anogan.review import Desk, Policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def address(run: Path, team_desk: Desk, port: int, tmp_path: Path) -> Iterator[str]:
    """Start the dashboard of that desk for people who sign in."""
    (run / "profile.toml").touch()
    with dashboard(run, tmp_path / "desk.db", port) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visitor(browser) as found:
        yield found


def heading(page: Page, name: str) -> None:
    page.get_by_role("heading", name=name, exact=True).wait_for()


def links(page: Page) -> set[str]:
    """Return the names of all pages in the menu, also of those that it folds away."""
    at_rest(page)
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

        page.goto(f"{address}/worklist")
        picture = page.locator('img[src*="/media/"]').first.evaluate("image => image.src")
        assert page.request.get(picture).status == 200
        assert requests.get(picture, timeout=600).status_code == 403  # the hash alone opens nothing

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
    ended = page.get_by_text("Your sign-in has ended; sign in again.")
    with provider(port, seconds=15):
        page.goto(address)
        sign_in(page, "ana")
        page.get_by_text("ana · reader").or_(ended).wait_for()  # a slow machine sees the end alone
        ended.wait_for()
        page.reload()  # the cookie lives on, and does not help
        ended.wait_for()
        assert links(page) == set()
    with provider(port):
        sign_in(page, "ana")
        page.get_by_text("ana · reader").wait_for()
