"""A real browser on the real server: a case opens, its pictures zoom and compare, and it is read by keys alone."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from anogan.review import cases_of, open_desk

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser


@contextlib.contextmanager
def served(run: Path, port: int, log: Path, desk: str = "") -> Iterator[str]:
    """Start the dashboard on a free loopback port, and stop it afterwards."""
    arguments = ["streamlit", "run", "app.py", "--server.port", str(port), "--", "--run", str(run)]
    environment = {name: value for name, value in os.environ.items() if name not in ("ANOGAN_RUN", "ANOGAN_DESK")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    if desk:
        environment["ANOGAN_DESK"] = desk
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(2400):
            if server.poll() is not None:
                pytest.fail(f"the server ended at once:\n{log.read_text()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        else:
            pytest.fail(f"the server did not answer within ten minutes:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def address(run: Path, port: int, tmp_path: Path) -> Iterator[str]:
    """Return the address of the dashboard that shows the run."""
    with served(run, port, tmp_path / "server.log") as found:
        yield found


def at_rest(page: Any) -> None:
    """Wait until the answer, of which the caller has seen a part, is whole."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def test_a_case_opens_and_its_pictures_zoom_fade_and_compare(browser: Browser, address: str) -> None:
    outside: list[str] = []
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(600_000)
    page.on("request", lambda request: outside.append(request.url) if is_outside(request.url, address) else None)
    page.goto(address)
    row = page.locator(".st-key-row-0")
    row.get_by_role("button", name="Open").wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    name = row.locator("strong").first.inner_text()
    row.locator("strong").first.click(force=True)  # anywhere on the row, not only on its button
    page.get_by_role("heading", name=name).wait_for()
    assert "case=" in page.url
    assert name not in page.url
    heat = page.locator('img[alt^="Heat map over the image"]')
    heat.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=heat.element_handle())
    assert heat.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [64, 64]

    page.get_by_label("Heat map opacity").fill("20")
    assert heat.evaluate("image => image.style.opacity") == "0.2"
    image = page.get_by_alt_text("The image as it was read")
    width = image.bounding_box()["width"]
    frame = page.get_by_role("group", name="Image. Plus and minus zoom")
    frame.focus()
    page.keyboard.press("+")
    for one in (image, heat):
        assert one.bounding_box()["width"] == pytest.approx(1.25 * width, rel=0.01), "they zoom together"
    at = image.bounding_box()["x"]
    page.keyboard.press("ArrowRight")
    assert image.bounding_box()["x"] == pytest.approx(at - 0.1 * width, abs=1)
    page.get_by_role("button", name="Each pixel by itself").click()
    assert image.bounding_box()["width"] == pytest.approx(64, abs=1)
    page.get_by_role("button", name="Fit into the page").click()
    assert image.bounding_box()["width"] == pytest.approx(width, abs=1)

    page.get_by_label("Image, or its healthy counterpart").fill("40")
    assert page.locator(".curtain").evaluate("one => one.style.clipPath") == "inset(0px 0px 0px 40%)"

    page.get_by_label("Window", exact=True).fill("1")
    page.get_by_label("Level", exact=True).fill("255")  # white, where there is any, is the middle of this window
    shot = np.asarray(Image.open(io.BytesIO(frame.screenshot())).convert("L"))
    assert shot[20:-20, 20:-20].max() <= 128
    assert (shot[20:-20, 20:-20] == 0).mean() > 0.9
    page.get_by_label("Preset").select_option("Full range")
    shot = np.asarray(Image.open(io.BytesIO(frame.screenshot())).convert("L"))
    assert shot[20:-20, 20:-20].max() > 200

    page.keyboard.press("n")
    page.get_by_text("Case 2 of").wait_for()
    page.wait_for_function("() => document.body.innerText.includes('Case 2 of')")
    at_rest(page)
    assert heat.evaluate("image => image.style.opacity") == "0.2", "the opacity stays from case to case"
    assert outside == [], "the dashboard may not speak to other hosts: results may show patients"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_case_of_the_desk_is_read_by_keys_alone(
    run: Path, port: int, tmp_path: Path, browser: Browser, scheme: str
) -> None:
    desk = open_desk(tmp_path / "desk.db")
    desk.add_many([case for case in cases_of(run / "results") if case.status == "scored"])
    first, second = (case.id for case in desk.page().cases[:2])
    with served(run, port, tmp_path / "server.log", str(tmp_path / "desk.db")) as address:
        page = browser.new_page(viewport={"width": 800, "height": 1000}, color_scheme=scheme)
        page.set_default_timeout(600_000)
        page.goto(f"{address}/desk")
        page.get_by_role("button", name="Take the next case").wait_for()
        at_rest(page)
        ground = page.locator('[data-testid="stApp"]').evaluate("one => getComputedStyle(one).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 150) == (scheme == "dark")
        wide = "() => [document.querySelector('[data-testid=stMain]').scrollWidth, innerWidth]"
        assert page.evaluate(wide) == [800, 800]
        sections = page.locator('[data-testid="stTopNavSection"]').all_inner_texts()
        assert [words.split()[0] for words in sections] == ["Team", "Detector"], "the whole menu stands in one row"
        for key, shown in (("t", "Confirm"), ("d", "Normal variant"), ("2", "Record")):
            page.keyboard.press(key)
            page.get_by_role("button", name=shown).wait_for()
            at_rest(page)
        assert page.url.endswith(f"case={first}")
        assert page.evaluate(wide) == [800, 800]
        page.get_by_label("In words").click()
        page.keyboard.type("a hair, and dust")  # letters in a text are no shortcuts
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Sign").wait_for()
        at_rest(page)
        (decision,) = desk.decisions(first)
        assert (decision.verdict, decision.reason, decision.text) == ("dismiss", "artifact", "a hair, and dust")
        page.keyboard.press("n")
        page.wait_for_url(f"**case={second}")
        page.close()
    desk.close()


def is_outside(url: str, address: str) -> bool:
    return not url.startswith((address, address.replace("http", "ws", 1), "data:", "blob:", "about:"))
