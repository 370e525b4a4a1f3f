"""schemathesis asks in every way that the OpenAPI allows, and in others, and finds nothing."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from anogan.api.app import Settings
from anogan.api.keys import SCOPES
from anogan.api.tables import ScreeningRow, open_tables
from anogan.cli.console import free_port
from anogan.linkage import Linkage

CASES = 10  # for each operation and phase


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on loopback, and return its address."""
    port = free_port(8900)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_schemathesis_finds_nothing(serve: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    api = serve(settings=Settings(hosts=("testserver", "127.0.0.1"), wait=0.0))
    with served(api.app) as address:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
            *("-H", f"Authorization: Bearer {api.keys.create('contract', SCOPES, '100000/minute')}"),
            *("--max-examples", str(CASES), "--seed", "1", "--generation-database", "none", "--no-color"),
        ]
        hooks = {"SCHEMATHESIS_HOOKS": "photos", "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | hooks, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout


@pytest.mark.slow
def test_nothing_accepted_is_lost_when_the_server_is_killed(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import serving

    server = serving.Server(tiny_run, tmp_path / "server", batch=16)
    try:
        server.start()
        load = serving.killed(server, serving.read_photos(None, 64), clients=4, seconds=9)
        assert len(load.accepted) > 4
        assert set(load.statuses) == {201}
        assert load.unanswered > 0  # it was killed under load
        assert server.lost(load) == []
        # Prints and screenings are the same ones, whatever a kill came between.
        with Linkage.open(server.folder / "store" / "links.sqlite") as linkage:
            with Session(open_tables(str(server.database))) as session:
                screened = session.scalars(select(ScreeningRow.id)).all()
            assert set(load.accepted) <= set(screened)
            assert all(number in linkage for number in screened)
            assert len(linkage) == len(screened)
    finally:
        server.stop()
        sys.modules.pop("serving", None)
