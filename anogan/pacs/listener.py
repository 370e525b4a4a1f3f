"""`anogan listen`: receive studies, have each judged once it is complete, and send what comes of it."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from anogan.pacs import open_node
from anogan.pacs.header import Header
from anogan.pacs.nodes import Node, Unavailable
from anogan.pacs.queue import Job, Outgoing
from anogan.pacs.receiver import Receiver
from anogan.pacs.settings import Retry, Settings
from anogan.pacs.store import Store

log = logging.getLogger("anogan.pacs")

# From a folder with the DICOM files of one study to the DICOM files that were made of it, anywhere; the empty folder
# `work` beside it is meant for them. ValueError is why the study cannot be scored. The UIDs of what it makes must
# follow from the objects that it saw: then a study that is judged twice is in the PACS once.
Judge = Callable[[Path], list[Path]]

TICK, PURGE = 0.2, 60.0  # seconds between two looks at an idle queue, and between two at what is old


class Listener:
    """All that `anogan listen` does, over one store.

    Parameters
    ----------
    settings
        As in `pacs.toml`.
    folder
        The store; it is taken over while `run` runs.
    judge
        See `Judge`.
    """

    def __init__(self, settings: Settings, folder: Path, judge: Judge) -> None:
        if not settings.peers:
            raise ValueError("the settings name no [[peers]], so nobody could send; name one by its ae_title")
        self.settings, self.judge = settings, judge
        self.node = open_node(settings, settings.results) if settings.results else None
        self.store = Store(folder, settings.limits.store_gigabytes * 1e9)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is then being judged or sent is finished.

        Raises
        ------
        ValueError
            The store is in use or cannot be written, or the address cannot be listened on.
        """
        self.store.open()
        stopping = contextlib.ExitStack()
        with stopping:
            stopping.callback(self.store.close)
            stopping.enter_context(Receiver(self.settings, self.store.incoming, self.keep).running())
            log.info("%s listens on %s port %d", self.settings.ae_title, self.settings.host, self.settings.port)
            failures: list[Exception] = []

            def work(loop: Callable[[threading.Event], None]) -> None:
                try:
                    loop(stop)
                except Exception as error:  # the queue itself: to receive what nobody judges would hide it
                    failures.append(error)
                    stop.set()

            loops = [self._judge_all] if self.node is None else [self._judge_all, self._send_all]
            threads = [threading.Thread(target=work, args=(loop,)) for loop in loops]
            for thread in threads:
                thread.start()
            try:
                stop.wait()
            finally:
                stop.set()  # also when the wait was interrupted
                for thread in threads:
                    thread.join()
            if failures:
                raise ValueError(
                    f"{self.store.folder}: stopped, the queue cannot be written ({type(failures[0]).__name__}); "
                    "nothing that was received is lost: free some space and start again"
                )

    def keep(self, path: Path, header: Header) -> None:
        """Take an object in; our own results, which a PACS may forward to everybody, are not for us."""
        if not header.ours and not self.store.queue.ours(header):
            self.store.add(path, header)

    def _judge_all(self, stop: threading.Event) -> None:
        queue, keep, purge_at = self.store.queue, self.settings.limits.keep_days * 86400, 0.0
        while not stop.is_set():
            queue.close_quiet(self.settings.quiet)
            if (job := queue.take()) is not None:
                self.judge_one(job)
            else:
                stop.wait(TICK)
            if not purge_at - PURGE <= (now := queue.clock()) < purge_at:  # also when the clock was set back
                self.store.purge(now - keep)
                purge_at = now + PURGE

    def judge_one(self, job: Job) -> None:
        """Have one study judged and record what comes of it."""
        self.store.work(job.study)
        try:
            files = self.judge(self.store.place(job.study) / "objects")
            if not files:
                raise ValueError("nothing came of it")
            recorded = self.store.judged(job, files)
        except ValueError as error:
            reason = " ".join(str(error).split())
            recorded = self.store.queue.not_scored(job, reason)
            log.warning("study %s: not scored: %s", job.study, reason)
        except Exception as error:  # one study must not stop the rest; words of other errors may quote a header
            reason = f"the program failed ({type(error).__name__})"
            recorded = self.store.queue.not_scored(job, reason)
            log.error("study %s: not scored: %s", job.study, reason)
        else:
            log.info("study %s: judged, %d results", job.study, len(files))
        self.store.leave(job.study)
        if not recorded:
            log.info("study %s: changed meanwhile, to be judged again", job.study)

    def _send_all(self, stop: threading.Event) -> None:
        assert self.node is not None
        failures = 0  # in a row: a node that is down is down for all studies
        while not stop.is_set():
            taken = self.store.queue.next_to_send()
            if taken is None:
                stop.wait(TICK)
                continue
            study, _ = taken
            try:
                send(self.store, self.node, *taken)
                failures = 0
                log.info("study %s: done with", study)
            except Exception as error:
                reason = str(error) if isinstance(error, Unavailable) else f"failed ({type(error).__name__})"
                wait = delay(self.settings.retry, failures)
                self.store.queue.postpone(study, wait, f"not sent yet: {reason}")
                log.warning("study %s: not sent yet: %s; trying again in %.0f s", study, reason, wait)
                failures += 1
                stop.wait(wait)


def send(store: Store, node: Node, study: str, outgoing: Sequence[Outgoing]) -> None:
    """Send the results of one study, recording each as the node has stored it.

    Raises
    ------
    Unavailable
        The node does not answer; what it has stored is recorded.
    """
    files = {}
    for result in outgoing:
        # Between "stored there" and "recorded here" a process may be killed.
        if result.doubtful and node.holds(study, result.series, result.uid):
            store.queue.delivered(result.uid)
        else:
            files[store.result(study, result.uid)] = result.uid
    refusals = []
    for path, refused in node.send([*files]) if files else ():
        store.queue.delivered(files[path], refused=bool(refused))
        if refused:
            refusals.append(refused)
    store.queue.sent(study, f"not sent: {refusals[0]}" if refusals else "")


def delay(retry: Retry, failures: int) -> float:
    """Return how many seconds to wait: exponential back-off, between half and the whole of it at random."""
    longest = min(retry.longest, retry.first * 2.0 ** min(failures, 60))
    return longest * random.uniform(0.5, 1.0)
