"""A small clinic for tests and benchmarks: studies, a stand-in for the judge, a listener, and a real Orthanc."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from pydicom import dcmread
from pydicom.uid import UID, SecondaryCaptureImageStorage

from anogan.cli.console import free_port
from anogan.io.dicom import write_dicom
from anogan.pacs.listener import Listener
from anogan.pacs.queue import Queue
from anogan.pacs.settings import Settings

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
MISSING = (
    "" if shutil.which("Orthanc") and PLUGIN.exists() else "no Orthanc with DICOMweb: install orthanc, orthanc-dicomweb"
)


def uid(text: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def write_study(folder: Path, name: str, slices: int = 3) -> str:
    """Write the slices of a study and return its UID."""
    study, series = uid(name), uid(f"{name} series")
    for number in range(slices):
        generator = np.random.default_rng([number, *name.encode()])
        write_dicom(
            folder / f"{name}-{number}.dcm",
            generator.integers(0, 1000, (16, 16)).astype(np.uint16),
            uids=(study, series, uid(f"{name} {number}")),
            position=(0, 0, 2.0 * number),
            patient_id=f"secret {name}",
            instance_number=number + 1,
        )
    return study


def judge(study: Path) -> list[Path]:
    """Make one Secondary Capture: its pixels are the mean slice, its UID follows from the objects it saw."""
    slices = [dcmread(path) for path in sorted(study.iterdir())]
    ds = slices[0]
    pixels = np.mean([each.pixel_array for each in slices], axis=0).astype(np.uint16)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    seen = " ".join(sorted(each.SOPInstanceUID for each in slices))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid(f"result {seen}"))
    ds.SeriesInstanceUID = UID(uid(f"result series {ds.SeriesInstanceUID}"))
    ds.Manufacturer, ds.Modality, ds.SeriesDescription = "anogan", "OT", "stand-in"
    ds.InstanceNumber, ds.NumberOfSlices = 1, len(slices)
    ds.PixelData = pixels.astype("<u2").tobytes()
    path = study.parent / "work" / "result.dcm"
    ds.save_as(path, enforce_file_format=True)
    return [path]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition: Callable[[], object], seconds: float = 600, every: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(every)


def find_dcmtk(command: str) -> str | None:
    """Find a command of dcmtk: in an active virtual environment pynetdicom's, of the same name, comes before it."""
    folders = [folder for folder in os.get_exec_path() if Path(folder) != Path(sys.executable).parent]
    return shutil.which(command, path=os.pathsep.join(folders))


def dcmtk(command: str, *arguments: object, expect: int | None = 0) -> str:
    """Run a command of dcmtk, or skip the test where it is missing."""
    program = find_dcmtk(command)
    if program is None:
        pytest.skip(f"no {command}: install dcmtk")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if expect is not None:
        assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def storescu(port: int, *paths: object, calling: str = "SCANNER", expect: int | None = 0) -> str:
    return dcmtk("storescu", "-aet", calling, "-aec", "ANOGAN", "+sd", "127.0.0.1", port, *paths, expect=expect)


def certificates(folder: Path) -> dict[str, str]:
    """Make a certificate of 127.0.0.1 that signs itself, with openssl, or skip the test."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder.mkdir()
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={folder.name} -keyout {key} -out {certificate}"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return {"certificate": certificate, "key": key, "authorities": certificate}


class Orthanc:
    """A real PACS on loopback, with its DICOMweb plug-in; stop() and start() keep what it holds."""

    def __init__(self, folder: Path, our_port: int, get: bool = True) -> None:
        self.folder, self.port, self.http = folder, free_port(), free_port()
        self.web = f"http://127.0.0.1:{self.http}/dicom-web"
        configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "LuaScripts": [str(folder / "arrivals.lua")],
            "HttpPort": self.http,
            "DicomPort": self.port,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowGet": False,
            "DicomModalities": {"us": {"AET": "ANOGAN", "Host": "127.0.0.1", "Port": our_port, "AllowGet": get}},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "HttpServerEnabled": True,
        }
        folder.mkdir(parents=True)
        # Its own lists do not tell that an object came again.
        (folder / "arrivals.lua").write_text(
            "function ReceivedInstanceFilter(dicom, origin, info)\n"
            f"  local file = io.open('{folder / 'arrivals'}', 'a')\n"
            "  file:write(dicom['SOPInstanceUID'] .. '\\n')\n"
            "  file:close()\n"
            "  return true\n"
            "end\n"
        )
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=log, cwd=self.folder
            )
        wait_for(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text(errors="replace")[-2000:]
        try:
            return requests.get(f"http://127.0.0.1:{self.http}/system", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self, at_once: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if at_once else self.process.terminate()
            self.process.wait()
            self.process = None

    def ask(self, path: str) -> Any:
        return requests.get(f"http://127.0.0.1:{self.http}/{path}", timeout=600).json()

    def stored(self) -> list[str]:
        """Return the SOP Instance UIDs of all it holds."""
        found = self.ask("instances?expand")
        return [each["MainDicomTags"]["SOPInstanceUID"] for each in found]

    def arrivals(self) -> list[str]:
        """Return the SOP Instance UIDs of all objects that ever came, one as often as it came."""
        path = self.folder / "arrivals"
        return path.read_text().split() if path.exists() else []

    def nodes(self) -> dict[str, dict[str, object]]:
        return {
            "pacs": {"ae_title": "ORTHANC", "port": self.port, "timeout": 5},
            "web": {"url": self.web, "timeout": 5},
        }


def settings(port: int, **changes: object) -> Settings:
    basis = {"port": port, "quiet": 0.3, "peers": [{"ae_title": "SCANNER", "hosts": ["127.0.0.1"]}]}
    return Settings.model_validate(basis | {"retry": {"first": 0.2, "longest": 0.5}} | changes)


@contextlib.contextmanager
def listening(chosen: Settings, store: Path, judge: Callable[[Path], list[Path]] = judge) -> Iterator[Listener]:
    """Run a listener in this process."""
    listener, stop = Listener(chosen, store, judge), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            listener.run(stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def ready() -> bool:
        if failed:
            raise failed[0]
        return answers(chosen.port)

    try:
        wait_for(ready)
        yield listener
    finally:
        stop.set()
        thread.join(600)
    if failed:
        raise failed[0]


def start_listener(chosen: Settings, store: Path, said: Any = None) -> subprocess.Popen:
    """Run a listener with the stand-in judge as a process of its own, to be killed; it makes its own session."""
    code = (
        "import sys, threading; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path; from clinic import judge\n"
        "from anogan.pacs.listener import Listener; from anogan.pacs.settings import Settings\n"
        "Listener(Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2]), judge).run(threading.Event())\n"
    )
    arguments = [chosen.model_dump_json(), str(store), str(Path(__file__).parent)]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=said, stderr=said)


def storm(
    port: int, studies: list[Path], store: Path, start: Callable[[], subprocess.Popen], seconds: float = 1200
) -> None:
    """Send each study from one of 8 senders at once, as long as it takes, and have all results sent.

    The listener is killed while studies arrive, and again while results are made.
    """

    def send_study(folder: Path) -> bool:
        options = ["-aet", "SCANNER", "-aec", "ANOGAN", "+sd", "+r"]
        command = [find_dcmtk("storescu") or "storescu", *options, "127.0.0.1", str(port), str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def sender(mine: list[Path]) -> None:
        for folder in mine:
            wait_for(partial(send_study, folder), seconds, every=0.5)

    def all_sent() -> bool:
        return [entry.state for entry in queue.entries()] == ["sent"] * len(studies)

    def come(pattern: str, share: float) -> bool:
        return len({path.parent.parent for path in store.glob(pattern)}) >= share * len(studies)

    listener = start()
    threads = [threading.Thread(target=sender, args=(studies[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        for pattern in ("studies/*/objects/*", "studies/*/results/*"):
            wait_for(partial(come, pattern, 0.3), seconds, every=0.2)
            listener.kill()
            listener.wait()
            listener = start()
        for thread in threads:
            thread.join(seconds)
        queue = Queue(store / "queue.db")
        wait_for(all_sent, seconds, every=0.5)
        queue.close()
    finally:
        listener.kill()
        listener.wait()
