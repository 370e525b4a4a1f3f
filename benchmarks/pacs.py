"""Nothing lost, nothing twice: studies from 8 senders at once, and the listener killed (SIGKILL) twice on the way.

    python benchmarks/pacs.py                               # 200 studies, a stand-in for the detector
    python benchmarks/pacs.py --run runs/brain --series T1  # a real run on copies of a DICOM series

Writes results/pacs.md from what was measured so far, a row with and a row without a detector. Needs Debian's orthanc,
orthanc-dicomweb and dcmtk. The senders are storescu, the PACS is Orthanc; both are on loopback.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli_w
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pacs"))
from clinic import MISSING, Orthanc, settings, start_listener, storm, uid, write_study  # it lies there

from anogan.cli.console import free_port
from anogan.storage.documents import json_text

RESULTS = Path(__file__).parent / "results"


def copy_series(series: Path, folder: Path, name: str) -> str:
    """Copy a series as a study of its own and return its UID."""
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(each for each in series.rglob("*") if each.is_file())):
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(name), uid(f"{name} series")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(f"{name} {number}")
        ds.save_as(folder / f"{number}.dcm")
    return uid(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--slices", type=int, default=4, help="of each made-up study")
    parser.add_argument("--run", type=Path, help="a run folder; without it a stand-in makes one object a study")
    parser.add_argument("--series", type=Path, help="a folder with one DICOM series to copy")
    parser.add_argument("--quiet", type=float, default=5, help="seconds")
    parser.add_argument("--seconds", type=float, default=1800, help="give up after")
    options = parser.parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        names = [f"study {number}" for number in range(options.studies)]
        places = [folder / "sent" / each for each in names]
        expected = {
            copy_series(options.series, place, each) if options.series else write_study(place, each, options.slices)
            for each, place in zip(names, places, strict=True)
        }
        pacs = Orthanc(folder / "orthanc", port)
        chosen = settings(port, nodes=pacs.nodes(), results="pacs", quiet=options.quiet)
        (folder / "pacs.toml").write_text(tomli_w.dumps(chosen.model_dump(mode="json", exclude_none=True)))
        store = folder / "store"
        listen = ["-m", "anogan", "listen", str(options.run), "--settings", str(folder / "pacs.toml")]

        def start() -> subprocess.Popen:
            if options.run is None:
                return start_listener(chosen, store)
            return subprocess.Popen([sys.executable, *listen, "--store", str(store)])

        try:
            pacs.start()
            began = time.monotonic()
            storm(port, places, store, start, options.seconds)
            seconds = time.monotonic() - began
            found = {each["MainDicomTags"]["StudyInstanceUID"] for each in pacs.ask("studies?expand")}
            stored, arrivals = pacs.stored(), collections.Counter(pacs.arrivals())
        finally:
            pacs.stop(at_once=True)
    judge = "stand-in" if options.run is None else "detector"
    measured = {
        "judge": judge,
        "studies": len(names),
        "killed": 2,
        "with results": len(found & expected),
        "results": len(stored),
        "arrived twice": sum(n > 1 for n in arrivals.values()),
        "seconds": round(seconds),
    }
    print(measured)
    (RESULTS / f"pacs-{judge}.json").write_text(json_text(measured, indent=1) + "\n", encoding="utf-8")
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("pacs-*.json"))]
    lines = [" | ".join(rows[0]), "|".join(["---"] * len(rows[0])), *(" | ".join(map(str, r.values())) for r in rows)]
    (RESULTS / "pacs.md").write_text(
        "".join(f"| {line} |\n" for line in lines).replace("| ---", "|---"), encoding="utf-8"
    )
    if found != expected or sum(arrivals.values()) != len(stored):
        raise SystemExit("something was lost or came twice")


if __name__ == "__main__":
    main()
