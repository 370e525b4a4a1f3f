"""What a client writes acts on nobody's terminal, forges no line of a log, and stands in none by name."""

from __future__ import annotations

import logging
import logging.config
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from anogan.api import problems
from anogan.cli import console
from anogan.cli.logs import server_log

NAMES = ("uvicorn", "uvicorn.access", "uvicorn.error", "anogan")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the loggers of the process as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(each.handlers[:], each.level, each.propagate, each.disabled) for each in loggers]
    yield
    for each, (handlers, level, propagate, disabled) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate, each.disabled = handlers, propagate, disabled
        each.setLevel(level)


def test_a_record_of_ours_is_one_line_in_which_nothing_acts(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(server_log())
    logging.getLogger("anogan.api").error("a\nforged \x1b[2J line")
    logging.getLogger("uvicorn.error").warning("another\r\n\x9b31m")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [r"ERROR a\nforged \x1b[2J line", r"WARNING another\r\n\x9b31m"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/v1/screenings", "/v1/screenings"),
        ("/v1/screenings/0123456789abcdef/heatmap", "/v1/screenings/0123456789abcdef/heatmap"),
        ("/v1/screenings/Jane%20Doe", "(another address)"),
        ("/Jane%20Doe", "(another address)"),
        ("/healthz?patient=Jane%20Doe", "/healthz?..."),
        ("/healthz/../Jane", "(another address)"),
    ],
)
def test_the_access_log_names_nobody(address: str, shown: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Through uvicorn itself, over a socket."""
    app = FastAPI()
    problems.install(app)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()  # who connects before the server is up waits
        server = uvicorn.Server(uvicorn.Config(app, log_config=server_log(), http="h11"))
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            with socket.create_connection(bound.getsockname(), 600) as line:
                line.sendall(f"GET {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                while line.recv(4096):
                    pass
        finally:
            server.should_exit = True
            thread.join()
    said = capfd.readouterr().err
    (asked,) = (each for each in said.splitlines() if '"GET ' in each)
    assert f'"GET {shown} HTTP/1.1" 404' in asked
    assert "Doe" not in said


def test_what_the_dashboard_s_server_says_does_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    said = "import sys; sys.stderr.buffer.write(b'name \\x1b[2J\\xff\\nnext\\n')"
    server = subprocess.Popen([sys.executable, "-c", said], stderr=subprocess.PIPE)
    console.show_errors(server).join()
    assert server.wait() == 0
    assert capfd.readouterr().err == "name \\x1b[2J\\xff\nnext\n"
