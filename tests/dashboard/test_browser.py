"""A real browser on the real server: the work list opens a case, and its heat map is there to see."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser


@pytest.fixture
def address(run: Path, port: int, tmp_path: Path) -> Iterator[str]:
    """Start the dashboard on a free loopback port, and stop it afterwards."""
    log = tmp_path / "server.log"
    arguments = ["streamlit", "run", "app.py", "--server.port", str(port), "--", "--run", str(run)]
    environment = {name: value for name, value in os.environ.items() if name != "ANOGAN_RUN"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(240):
            if server.poll() is not None:
                pytest.fail(f"the server ended at once:\n{log.read_text()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        else:
            pytest.fail(f"the server did not answer within a minute:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def test_a_case_opens_and_its_heat_map_is_seen(browser: Browser, address: str) -> None:
    outside: list[str] = []
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(60_000)
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
    page.keyboard.press("n")
    page.get_by_text("Case 2 of").wait_for()
    page.close()
    assert outside == [], "the dashboard may not speak to other hosts: results may show patients"


def is_outside(url: str, address: str) -> bool:
    return not url.startswith((address, address.replace("http", "ws", 1), "data:", "blob:", "about:"))
