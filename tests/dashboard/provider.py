"""An OpenID provider on this machine, a dashboard that asks it, and people in the browser who sign in with it."""

from __future__ import annotations

import contextlib
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

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

mock = pytest.importorskip("oidc_provider_mock", reason="oidc-provider-mock is not installed")
PROVIDER = 1  # above the port of the dashboard


def provider(port: int, seconds: int = 3600) -> AbstractContextManager:
    """Serve the OpenID provider; what it gives holds for so many seconds."""
    users = [mock.User(sub=f"id-of-{name}", claims={"preferred_username": name}) for name in (*TEAM, "eve")]
    age = datetime.timedelta(seconds=seconds)
    return mock.run_server_in_thread(port + PROVIDER, user_claims=users, access_token_max_age=age)


@contextlib.contextmanager
def dashboard(run: Path, desk: Path, port: int) -> Iterator[str]:
    """Start the dashboard of a desk for people who sign in, and stop it afterwards."""
    settings = {
        "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
        "cookie_secret": "0123456789abcdef" * 2,
        "client_id": "anogan",
        "client_secret": "nobody knows",
        "server_metadata_url": f"http://localhost:{port + PROVIDER}/.well-known/openid-configuration",
    }
    file = desk.with_name("sign-in.toml")
    file.write_text(tomli_w.dumps({"auth": settings}), encoding="utf-8")
    options = ["--desk", str(desk), "--sign-in", str(file), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "ANOGAN_DESK"}
    environment["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the provider of the test has no TLS
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
        server.wait()


@contextlib.contextmanager
def visitor(browser: Browser) -> Iterator[Page]:
    """Yield an empty page with cookies of its own, as on a computer of somebody else."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(600_000)

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


def at_rest(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
