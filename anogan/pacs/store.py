"""The folder of the listener: the queue, and the objects as they came.

queue.db
incoming/                       what is being received; emptied at the start
studies/HASH/objects/HASH.dcm   hashes of UIDs
studies/HASH/quarantine/DIGEST.dcm   what contradicts the objects in whose it is
studies/HASH/results/HASH.dcm
studies/HASH/work/              for whoever judges; emptied before and after
desk/HASH/                      results of a study for the review desk, its pictures; they outlive the study
desk.lock                       held while a series is put on the desk, and while studies are deleted
objects.lock                    held while an object is placed and recorded, and while studies are deleted
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from anogan.pacs.header import Header, file_name, read_header
from anogan.pacs.queue import Job, Queue
from anogan.storage.atomic import sync, write_bytes

log = logging.getLogger("anogan.pacs")


class Full(ValueError):
    """There is no room for the object."""


@contextmanager
def undeleted(study: Path) -> Iterator[bool]:
    """Tell whether a study, by its folder of objects in a store, is still there; no deletion begins in the block.

    So whoever keeps something of it elsewhere does so before the person is erased, or not at all.
    """
    with _deletions(study.parents[2]):
        yield study.is_dir()


def _deletions(store: Path) -> FileLock:
    return FileLock(store / "desk.lock")


def _arrivals(store: Path) -> FileLock:
    """Return the lock without which a file and its record are two steps for `anogan erase`, another process."""
    return FileLock(store / "objects.lock")


class Store:
    """The objects and their queue.

    Parameters
    ----------
    folder
        Made if it is not there.
    limit
        Bytes that objects and results may take.

    Raises
    ------
    ValueError
        The folder cannot be made, or its queue is damaged.
    """

    def __init__(self, folder: Path, limit: float = float("inf")) -> None:
        self.folder, self.limit = folder, limit
        self.incoming = folder / "incoming"
        try:
            self.incoming.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)  # the objects name their patients
        except OSError as error:
            raise ValueError(f"{folder}: cannot be made ({error.strerror}); choose another --store") from None
        self.queue = Queue(folder / "queue.db")
        self._lock = FileLock(folder / "lock")
        self._adding = threading.Lock()  # of this process: the check for room and what it allows are one step
        self._used = self.queue.size()

    def open(self) -> None:
        """Take the store over, and put in order what a killed process left.

        Raises
        ------
        ValueError
            Another process has it.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"{self.folder}: another `anogan listen` works here; choose another --store") from None
        for path in self.incoming.iterdir():
            path.unlink()
        # What was not recorded was not acknowledged: its sender will send it again.
        known = {file_name(study): {file_name(uid) for uid in uids} for study, uids in self.queue.objects().items()}
        for folder in self._studies():
            if folder.name not in known:
                shutil.rmtree(folder)
                continue
            for path in (folder / "objects").glob("*"):  # none, if it was killed while deleting
                if path.stem not in known[folder.name]:
                    path.unlink()
        self.queue.recover()

    def close(self) -> None:
        """Let go of the store."""
        self.queue.close()
        self._lock.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else change which objects there are, in this process or another."""
        with self._adding, _arrivals(self.folder):
            yield

    def _studies(self) -> list[Path]:
        return sorted((self.folder / "studies").glob("*"))

    def place(self, study: str) -> Path:
        """Return the folder of a study."""
        return self.folder / "studies" / file_name(study)

    def add(self, path: Path, header: Header) -> bool:
        """Move a received file to its place and record it; return False for a duplicate, which stays where it is.

        What contradicts the objects before it in whose it is goes into quarantine, with its study.

        Raises
        ------
        Full
            There is no room.
        """
        with self._alone():
            if self.queue.known(header):
                return False
            if self._used + header.size > self.limit:
                raise Full(f"{self.folder}: holds {self._used / 1e9:.1f} GB, which is the limit")
            why = self.queue.conflict(header)
            folder = self.place(header.study) / ("quarantine" if why else "objects")
            folder.mkdir(parents=True, exist_ok=True)
            sync(path)
            os.replace(path, folder / f"{file_name(header.digest if why else header.uid)}.dcm")
            sync(folder)
            if why:
                self.queue.quarantine(header, why)
                log.warning("study %s: quarantined: %s", header.study, why)
            else:
                self.queue.add(header)
            self._used += header.size
            return True

    def keep_first(self, study: str) -> int:
        """Let a quarantined study go on with what came first, and delete the others; return how many.

        Raises
        ------
        ValueError
            It is not quarantined, or nothing of it came first.
        """
        with self._alone():
            others = self.queue.keep_first(study)
            for digest in others:
                (self.place(study) / "quarantine" / f"{file_name(digest)}.dcm").unlink(missing_ok=True)
            self._used = self.queue.size()
            return len(others)

    def work(self, study: str) -> Path:
        """Return the study's empty folder for whoever judges it."""
        folder = self.place(study) / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def judged(self, job: Job, files: Iterable[Path]) -> bool:
        """Take over the results of a job and record them; False if the study has changed meanwhile.

        Raises
        ------
        ValueError
            A result is no DICOM object of the study, or cannot be written.
        """
        results = {}
        with self._alone():  # all of them, or none, before a deletion
            for path in files:
                header = read_header(path)
                if header.study != job.study:
                    raise ValueError(f"{path}: a result of another study")
                target = self.result(job.study, header.uid)
                write_bytes(target, path.read_bytes())
                sync(target)
                results[header.uid] = header
            recorded = self.queue.judged(job, results.values())
            if recorded:
                self._used += sum(header.size for header in results.values())
        return recorded

    def leave(self, study: str) -> None:
        """Empty the work folder of a study, or all of it if it was erased meanwhile."""
        place = self.place(study)
        with self._alone():  # or the study comes again between the two
            shutil.rmtree(place / "work" if self.queue.knows(study) else place, ignore_errors=True)

    def result(self, study: str, uid: str) -> Path:
        """Return the file of a result."""
        return self.place(study) / "results" / f"{file_name(uid)}.dcm"

    def purge(self, then: float) -> int:
        """Delete the studies that are done with since before `then`; return how many."""
        gone, left = self._delete(lambda: self.queue.done_before(then))
        if left:
            log.error("%d studies are old and cannot be deleted; make the store writable", left)
        return gone

    def erase(self, subject: str) -> int:
        """Delete all studies of a person, files and records; return how many.

        Raises
        ------
        ValueError
            Files of some cannot be deleted; these stay recorded, to be erased again.
        """
        gone, left = self._delete(lambda: self.queue.of_subject(subject))
        if left:
            raise ValueError(
                f"{self.folder}: {left} {'study' if left == 1 else 'studies'} cannot be deleted; make the folder "
                "writable and erase again"
            )
        return gone

    def _kept(self, study: str) -> list[Path]:
        folders = (self.place(study) / name for name in ("objects", "quarantine", "results"))
        return [path for folder in folders for path in folder.glob("*")]

    def _delete(self, choose: Callable[[], list[str]]) -> tuple[int, int]:
        """Delete the studies that are chosen while nothing arrives; return how many, and how many are left."""
        with _deletions(self.folder), self._alone():
            studies = choose()
            for study in studies:
                shutil.rmtree(self.place(study), ignore_errors=True)
            # Whoever is judging may still write into `work`, which `leave` takes away.
            gone = [study for study in studies if not self._kept(study)]
            if gone:
                self.queue.forget(gone)
            self._used = self.queue.size()  # another process may have erased something, too
        return len(gone), len(studies) - len(gone)
