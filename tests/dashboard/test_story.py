"""A day at the desk, in the browser: read blind, read again, arbitrated, signed, verified; a version comes and goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from desks import TEAM
from proposals import propose
from provider import at_rest, dashboard, provider, sign_in, visitor

from anogan.assurance.feedback import versions
from anogan.dashboard.case_view import map_range
from anogan.dashboard.viewer import prepared
from anogan.dashboard.widgets import number, p_text
from anogan.detector import Detector
from anogan.results.reading import read_case, read_results
from anogan.review import Desk, Policy, Query, open_desk

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, WebSocket

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def run(tiny_run: Path, tiny_folder: Path, tiny_detector: Detector, tmp_path: Path, anogan: Callable[..., Any]) -> Path:
    """Return a run that has judged two images for the desk, and has a version 1 that may take its place."""
    run, images = tmp_path / "run", tmp_path / "images"
    images.mkdir()
    run.mkdir()
    for name in ("profile.toml", "detector.safetensors", "detector.json"):
        shutil.copy(tiny_run / name, run)
    for path in sorted((tiny_folder / "abnormal").iterdir())[:2]:
        shutil.copy(path, images)
    assert anogan("inspect", run, images, "--desk", tmp_path / "desk.db").code == 0
    propose(run, tiny_detector)
    return run


@pytest.fixture
def team(run: Path, tmp_path: Path) -> Iterator[Desk]:
    """Return the desk of that run as its auditor has it: two readings, blind first."""
    desk = open_desk(tmp_path / "desk.db")
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for user, role in TEAM.items():
        admin.set_role(user, role)  # type: ignore[arg-type]
    admin.set_policy(Policy(readings=2, blind_first=True))
    yield desk.sign_in("uwe")
    desk.close()


@pytest.fixture
def person(
    browser: Browser, run: Path, team: Desk, tmp_path: Path, port: int
) -> Iterator[Callable[[str, str], tuple[Page, list[str]]]]:
    """Return a function that signs a member in at one of the pages, and gives it with all that its browser hears."""
    with ExitStack() as stack:
        stack.enter_context(provider(port))
        address = stack.enter_context(dashboard(run, tmp_path / "desk.db", port))

        def come(name: str, path: str) -> tuple[Page, list[str]]:
            page = stack.enter_context(visitor(browser))
            heard: list[str] = []
            listen(page, heard)
            page.goto(address)
            sign_in(page, name)
            page.get_by_text(f"{name} · {TEAM[name]}").wait_for()
            page.goto(f"{address}/{path}")
            page.get_by_text(f"{name} · {TEAM[name]}").wait_for()
            at_rest(page)
            return page, heard

        yield come


def listen(page: Page, heard: list[str]) -> None:
    """Keep all that the server sends to the page, whatever the page makes of it, and the address of each file."""

    def keep(frame: str | bytes) -> None:
        heard.append(frame if isinstance(frame, str) else frame.decode("utf-8", "replace"))

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    page.on("websocket", opened)
    page.on("response", lambda response: heard.append(f"file {urlsplit(response.url).path}"))


def judgment(team: Desk) -> tuple[str, list[str]]:
    """Return the title of the oldest case, and all that says what the detector found: words, numbers and pictures."""
    case = team.page(Query(order="age")).cases[0]
    folder = Path(case.folder)
    summary = read_results(folder.parent.parent)["detector"]
    drawn = prepared(read_case(folder.parent.parent, folder.name), map_range(summary))
    numbers = [f"score {number(case.score)}", f"p = {p_text(case.p_value)}"]
    pictures = [drawn["heat"], drawn["scale"], drawn["healthy"]]
    return case.title, [*numbers, *pictures, "Component map", "file /media/"]


def known(secrets: list[str], heard: list[str]) -> list[str]:
    """Return what of the judgment the browser was sent."""
    return [secret[:60] for secret in secrets if any(secret in words for words in heard)]


def decide(page: Page, verdict: str, reason: str) -> None:
    page.get_by_role("button", name=verdict).click()
    page.get_by_role("button", name=reason).click()
    at_rest(page)
    page.get_by_role("button", name="Record").click()


def waiting(page: Page, state: str) -> None:
    """Let the queue show the cases in one state."""
    page.get_by_role("combobox", name="State").click()
    page.get_by_role("option", name=state).click()
    page.locator(".st-key-row-0").get_by_text(state.capitalize()).wait_for()
    at_rest(page)


def withheld(page: Page) -> list[bool]:
    """Tell for each row of the queue whether the judgment is withheld."""
    return ["Withheld" in words for words in page.locator('[class*="st-key-row-"]').all_inner_texts()]


def read_blind(page: Page, heard: list[str], team: Desk, verdict: str, reason: str) -> None:
    """Take the next case, look at it, decide before the judgment is shown, and then again."""
    title, secrets = judgment(team)
    page.get_by_role("button", name="Take the next case").click()
    page.get_by_role("heading", name=title).wait_for()
    page.get_by_role("heading", name="Your first decision, before the score").wait_for()
    image = page.get_by_alt_text("The image as it was read")
    image.wait_for()
    width = image.bounding_box()["width"]  # type: ignore[index]
    page.get_by_role("group", name="Image. Plus and minus zoom").focus()
    page.keyboard.press("+")
    assert image.bounding_box()["width"] == pytest.approx(1.25 * width, rel=0.01)  # type: ignore[index]
    page.get_by_role("button", name=verdict).click()
    page.get_by_role("button", name=reason).wait_for()
    assert known(secrets, [*heard, page.content()]) == []
    assert page.locator("img").count() == page.get_by_alt_text("The image as it was read").count() == 1
    decide(page, verdict, reason)

    page.get_by_role("heading", name="Your decision").wait_for()
    page.get_by_alt_text(f"Heat map over the image, {secrets[0]}").first.wait_for()
    page.get_by_alt_text("Component map: Discriminator").wait_for()
    at_rest(page)
    assert known(secrets, heard) == [secret[:60] for secret in secrets], "or else the test does not know where to look"
    assert len({name for name in TEAM if known([f"{name}, first reading", f"{name}, second reading"], heard)}) <= 1, (
        "readers are independent"
    )
    decide(page, verdict, reason)


def verify(page: Page) -> None:
    page.get_by_role("button", name="Verify the log").click()
    page.get_by_text("rows hold; the last is").wait_for()
    page.get_by_test_id("stDataFrame").wait_for()
    at_rest(page)


def test_from_the_sign_in_to_the_signature_and_from_one_version_to_the_next(
    person: Callable[[str, str], tuple[Page, list[str]]], run: Path, team: Desk
) -> None:
    ana, heard = person("ana", "desk")
    ana.get_by_text("2 open").wait_for()
    assert withheld(ana) == [True, True]
    read_blind(ana, heard, team, "Confirm", "Abnormal finding")
    ana.get_by_text("you have read it already").wait_for()

    ben, heard = person("ben", "desk")
    waiting(ben, "second reading")
    assert withheld(ben) == [True]
    read_blind(ben, heard, team, "Dismiss", "Artifact")
    ben.get_by_text("Arbitration", exact=True).first.wait_for()

    eva, _ = person("eva", "desk")
    waiting(eva, "arbitration")
    eva.get_by_role("button", name="Take the next case").click()
    eva.get_by_text("ana, first reading, before the score was shown").wait_for()
    eva.get_by_text("ben, second reading, before the score was shown").wait_for()
    decide(eva, "Confirm", "Abnormal finding")
    eva.get_by_text("Decided: confirm").wait_for()

    ana.reload()
    ana.locator(".st-key-sign").get_by_role("button").click()
    ana.get_by_text("Signed by ana").wait_for()

    uwe, heard = person("uwe", "audit")
    verify(uwe)
    assert known(["signed", "promoted"], heard) == ["signed"]

    ida, _ = person("ida", "versions")
    ida.get_by_role("button", name="Promote version 1").click()
    ida.get_by_text("Version 1 works now.").wait_for()
    assert versions.current(run) == 1
    uwe.reload()
    verify(uwe)
    assert known(["signed", "promoted"], heard) == ["signed", "promoted"]
    ida.get_by_role("button", name="Roll back the last promotion").click()
    ida.get_by_text("Version 0 works again.").wait_for()
    assert versions.current(run) == 0

    steps = [entry for entry in team.log(0, 1000) if entry.action in ("decided", "signed", "promoted")]
    assert [(step.actor, step.action, step.details.get("blind")) for step in steps] == [
        *(("ana", "decided", True), ("ana", "decided", False)),
        *(("ben", "decided", True), ("ben", "decided", False)),
        *(("eva", "decided", False), ("ana", "signed", None)),
        *(("ida", "promoted", None), ("ida", "promoted", None)),
    ]
    before, after = (version.note["threshold"] for version in versions.listed(run))
    assert [step.details["threshold"] for step in steps[-2:]] == [after, before]
    assert team.verify().faults == ()
