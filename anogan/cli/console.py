"""What the commands share with the terminal: progress bars, and the process that serves the dashboard."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from anogan.gan.training import TrainingEvent


# C0 but for the tab, DEL, C1, what changes the direction of writing (Unicode Bidirectional Algorithm, 2), what is not
# seen (but for the joiners that scripts need), and bytes of a name that are no text, which no terminal takes.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


class Bar:
    """A progress bar with the remaining time; plain lines, one per tenth, where there is no terminal.

    Call it with `(done, total)`; a new `title` starts a new bar below.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self.title = title
        self.console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed} of {task.total}"),
            TextColumn("{task.fields[left]}", style="cyan"),
            TextColumn(
                "{task.fields[note]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            console=self.console,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._start = time.monotonic()
        self._tenth = -1
        self._verdicts: dict[str, str] = {}  # the last one of each phase of a training

    def __enter__(self) -> Bar:
        if self.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._progress.stop()

    def __call__(
        self, done: int, total: int, *, title: str = "", note: str = "", seconds_left: float | None = None
    ) -> None:
        """Show that `done` of `total` are done; without `seconds_left` it is estimated from the pace so far."""
        title = title or self.title
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(title, total=total, left="", note="")
            self._start, self._tenth = time.monotonic(), -1
        if seconds_left is None and done:
            seconds_left = (time.monotonic() - self._start) * (total - done) / done
        left = "" if seconds_left is None or done >= total else f"{in_words(seconds_left)} left"
        if self.console.is_terminal:
            self._progress.update(self._tasks[title], completed=done, total=total, left=left, note=note)
        elif (tenth := 10 * done // max(total, 1)) > self._tenth:
            self._tenth = tenth
            parts = [f"{title}: {done} of {total}", left, note]
            self.console.print(", ".join(part for part in parts if part), highlight=False, soft_wrap=True)

    def training(self, event: TrainingEvent) -> None:
        """Show one event of `Detector.train`: its phase, step, where it is going, losses and the time left."""
        if event.verdict is not None:
            self._verdicts[event.phase] = event.verdict.word
        verdict = [self._verdicts[event.phase]] if event.phase in self._verdicts else []
        note = ", ".join([*verdict, *(f"{name} {value:.3g}" for name, value in event.losses.items())])
        self(event.step, event.steps, title=event.phase, note=note, seconds_left=event.seconds_left)


def visible(text: str, lines: bool = True) -> str:
    r"""Return a text whose control characters are shown and do nothing.

    Names of files and values of headers are whoever's: an escape sequence would reach the terminal, a line break would
    forge a line of a log, and an override of the writing direction would show another name. `lines` keeps line breaks.

    >>> visible("a\x1b[2Jb"), visible("one\ntwo", lines=False)
    ('a\\x1b[2Jb', 'one\\ntwo')
    """
    return _CONTROLS.sub(lambda found: found[0] if lines and found[0] == "\n" else _escaped(found[0]), text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


class VisibleFormatter(logging.Formatter):
    """Writes each record on one line, in which nothing is a control character."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), lines=record.exc_info is not None)


class _VisibleConsole(Console):
    def render_str(self, text: str, **options: Any) -> Text:
        """Render what is printed and each cell of a table; a line break in one would forge a row."""
        return super().render_str(visible(text, lines=False), **options)


def plain_console() -> Console:
    """Return a console that shows names as they are: brackets and colons in a file's name are no markup."""
    return _VisibleConsole(markup=False, emoji=False)


def in_words(seconds: float) -> str:
    """Return a duration as people say it.

    >>> in_words(42), in_words(150)
    ('42 s', '2 min 30 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def dashboard_app() -> Path:
    """Return the dashboard's `app.py`: inside the package in a wheel, beside it in a checkout.

    Raises
    ------
    ValueError
        There is none.
    """
    package = Path(__file__).parents[1]
    for path in (package / "dashboard" / "app.py", package.parent / "app.py"):
        if path.is_file():
            return path
    raise ValueError(f"{package.parent}: app.py is missing; install anogan again")


def free_port(wanted: int = 0) -> int:
    """Return `wanted`, or the next port on this machine that nobody listens on; 0: any such port.

    Raises
    ------
    ValueError
        Twenty ports in a row are taken.
    """
    for port in range(wanted, min(wanted + 20, 65536)):
        with socket.socket() as probe:
            # As servers do; else a dashboard closed a moment ago would still hold its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ValueError(f"port {wanted}: it and the ports after it are taken; name another with --port")


def url(host: str, port: int) -> str:
    """Return where this machine reaches a server that listens on an address.

    >>> url("127.0.0.1", 80), url("0.0.0.0", 80), url("::", 80)
    ('http://127.0.0.1:80', 'http://127.0.0.1:80', 'http://[::1]:80')
    """
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def serve(
    run: Path, port: int, desk: str = "", host: str = "127.0.0.1", sign_in: Path | None = None, address: str = ""
) -> int:
    """Serve the dashboard of a run until it is stopped; return the exit code.

    Parameters
    ----------
    run, port
        The run folder, and a port; the next free one if it is taken, unless people sign in.
    desk
        The database of a review desk to show, too.
    host
        The address to listen on.
    sign_in, address
        The settings of the sign-in, and where they have people open the dashboard.

    Raises
    ------
    ValueError
        No port is free.
    """
    free = free_port(port)
    if sign_in is not None and free != port:  # the provider sends people back to one address
        raise ValueError(f"port {port}: is taken; name the one that redirect_uri leads to with --port, or free it")
    local = url(host, free)
    options = [
        f"--server.port={free}",
        f"--server.address={host}",
        "--server.headless=true",
        "--logger.level=warning",
        *([f"--secrets.files={sign_in.resolve()}"] if sign_in is not None else []),
    ]
    app = dashboard_app()
    command = [sys.executable, "-m", "streamlit", "run", str(app), *options, "--", "--run", str(run.resolve())]
    # Streamlit looks for .streamlit/config.toml (theme, limits, no statistics) where it is started.
    # The desk goes by the environment: its URL may hold a password, and everybody can list a process's arguments.
    environment = os.environ | ({"ANOGAN_DESK": desk} if desk else {})
    if sign_in is not None:
        environment["ANOGAN_SIGN_IN"] = "required"  # also if its file goes away
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=app.parent, env=environment
    )
    said = show_errors(server)
    # A dashboard that outlives the command that opened it would keep the port.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while not _answers(f"{local}/_stcore/health"):
            if server.poll() is not None:
                return server.returncode
            time.sleep(0.2)
        address = address or local
        print(f"the dashboard is open at {address} (Ctrl-C closes it)", flush=True)
        if sys.stdout.isatty() and (sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")):
            webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()
        said.join(5)  # not for ever, if a process that it left has the pipe


def show_errors(server: subprocess.Popen[bytes]) -> threading.Thread:
    """Show what a server writes to its stderr as it comes, control characters visibly; return the thread that does."""

    def show() -> None:
        assert server.stderr is not None
        for line in server.stderr:
            sys.stderr.write(visible(line.decode("utf-8", "backslashreplace")))
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    return thread


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
