"""Progress bars, durations and ports."""

import io
import logging
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from anogan.cli import console
from anogan.gan.convergence import Verdict
from anogan.gan.training import TrainingEvent


def lines(calls: list[tuple[int, int]], **options: str) -> list[str]:
    out = io.StringIO()
    with console.Bar("reading", Console(file=out, width=200)) as bar:
        for done, total in calls:
            bar(done, total, **options)  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def test_without_a_terminal_a_bar_is_a_line_per_tenth() -> None:
    shown = lines([(done, 200) for done in range(1, 201)])
    assert [line.split(",")[0] for line in shown] == [f"reading: {done} of 200" for done in (1, *range(20, 201, 20))]
    assert re.fullmatch(r"reading: 20 of 200, \d+ s left", shown[1])
    assert shown[-1] == "reading: 200 of 200"  # nothing is left


def test_nothing_to_do_is_no_division_by_zero() -> None:
    assert lines([(0, 0)]) == ["reading: 0 of 0"]


def test_training_shows_phase_losses_and_time_left() -> None:
    out = io.StringIO()
    with console.Bar("training", Console(file=out, width=200)) as bar:
        bar.training(TrainingEvent("adversarial", 5, 10, {"generator": 0.6931, "penalty": 12.5}, 150.0))
        bar.training(TrainingEvent("encoder", 1, 2, {}, None))
    first, second = out.getvalue().splitlines()
    assert first == "adversarial: 5 of 10, 2 min 30 s left, generator 0.693, penalty 12.5"
    assert second.startswith("encoder: 1 of 2, ")


def test_training_says_where_it_is_going() -> None:
    out = io.StringIO()
    with console.Bar("training", Console(file=out, width=200)) as bar:
        bar.training(TrainingEvent("adversarial", 5, 10, {}, 9.0, None, Verdict("improving", "both", 5)))
        bar.training(TrainingEvent("adversarial", 6, 10, {"places": 0.5}, 8.0))
        bar.training(TrainingEvent("encoder", 1, 2, {"residual": 0.5}, 1.0))
    assert [line.split(", ", 2)[2] for line in out.getvalue().splitlines()] == [
        "improving",
        "improving, places 0.5",
        "residual 0.5",
    ]


def test_on_a_terminal_each_title_has_its_bar() -> None:
    out = io.StringIO()
    with console.Bar("reading", Console(file=out, width=120, force_terminal=True)) as bar:
        bar(3, 4, note="calm")
        bar(1, 2, title="writing")
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()).splitlines()[-2:]
    assert re.match(r"reading +.* 3 of 4 .*s left +calm", last[0])
    assert re.match(r"writing +.* 1 of 2", last[1])


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (605, "10 min 05 s")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert console.in_words(seconds) == words


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert taken < console.free_port(taken) < taken + 20
    assert console.free_port(taken) == taken


def test_any_free_port_will_do() -> None:
    port = console.free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        assert holder.getsockname()[1] == port > 0


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8501"),
        ("localhost", "http://localhost:8501"),
        ("0.0.0.0", "http://127.0.0.1:8501"),
        ("::", "http://[::1]:8501"),
        ("::1", "http://[::1]:8501"),
        ("10.0.0.7", "http://10.0.0.7:8501"),
    ],
)
def test_a_server_is_reached_by_the_address_that_it_listens_on(host: str, address: str) -> None:
    assert console.url(host, 8501) == address


def test_the_router_is_found() -> None:
    assert "router.py" in console.dashboard_app().read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_dashboard_prints_its_address_and_leaves_with_its_command(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text("")
    command = [sys.executable, "-m", "anogan", "dashboard", str(tmp_path), "--port", "8765"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[0]) as page:
            assert b"<html" in page.read()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address[0], timeout=2)


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("image")
    table.add_row("a[bold]:smile:.png")
    console.plain_console().print(table)
    assert "a[bold]:smile:.png" in capsys.readouterr().out


def test_a_name_forges_no_row_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("image", "score")
    table.add_row("a\n| b", "1")
    console.plain_console().print(table)
    assert r"a\n| b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "lines", "shown"),
    [
        ("\x1b[31mred\x1b[0m", True, r"\x1b[31mred\x1b[0m"),
        ("one\ntwo", True, "one\ntwo"),
        ("one\ntwo\r\n", False, r"one\ntwo\r\n"),
        ("exe\u202egnp.dcm", True, r"exe\u202egnp.dcm"),
        ("bell\x07 null\x00 c1\x9b31m del\x7f", True, r"bell\x07 null\x00 c1\x9b31m del\x7f"),
        ("two\u200b\xadthree\ufeff\u2060", True, r"two\u200b\xadthree\ufeff\u2060"),
        ("hidden\U000e0041", True, r"hidden\U000e0041"),
        ("no text \udcff", True, r"no text \udcff"),
        ("joined \U0001f469\u200d\U0001f4bb", True, "joined \U0001f469\u200d\U0001f4bb"),
        ("tab\tÜnïcode 山 stays", False, "tab\tÜnïcode 山 stays"),
    ],
)
def test_what_would_act_on_a_terminal_is_shown(text: str, lines: bool, shown: str) -> None:
    assert console.visible(text, lines) == shown


def test_a_record_is_one_line_of_a_log() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "study %s", ("1.2\n2026 forged \x1b[2J",), None)
    assert console.VisibleFormatter("%(message)s").format(record) == r"study 1.2\n2026 forged \x1b[2J"


def test_names_in_tables_do_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("file")
    table.add_row("a\x1b[2Jb\u202e")
    console.plain_console().print(table)
    assert "\x1b[2J" not in (out := capsys.readouterr().out)
    assert r"a\x1b[2Jb\u202e" in out
