"""A deletion and whoever works with the same store at the same time: nothing of the person is left behind."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import uid, write_study

from anogan.pacs import store as place
from anogan.pacs.header import file_name, read_header
from anogan.pacs.store import Store


@pytest.fixture
def sent(tmp_path: Path) -> list[Path]:
    write_study(tmp_path / "sent", "one", slices=2)
    return sorted((tmp_path / "sent").iterdir())


def arrive(store: Store, path: Path) -> None:
    copy = store.incoming / path.name
    shutil.copy(path, copy)
    store.add(copy, read_header(copy))


def asking(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set once somebody else than this thread asks for the lock of the objects."""
    asked, lock, here = threading.Event(), place._arrivals, threading.current_thread()

    def telling(folder: Path) -> object:
        if threading.current_thread() is not here:
            asked.set()
        return lock(folder)

    monkeypatch.setattr(place, "_arrivals", telling)
    return asked


def meanwhile(work: Callable[[], None], asked: threading.Event) -> threading.Thread:
    """Run something in a thread until it is done, or waits for the lock of the objects."""

    def run() -> None:
        try:
            work()
        finally:
            asked.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert asked.wait(600)
    return thread


def test_what_arrives_while_another_process_erases_is_whole_or_not_there(
    sent: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, eraser = Store(tmp_path / "store"), Store(tmp_path / "store")
    arrive(listener, sent[0])
    asked, forget, threads = asking(monkeypatch), eraser.queue.forget, []

    def late(studies: list[str]) -> None:
        threads.append(meanwhile(lambda: arrive(listener, sent[1]), asked))
        forget(studies)

    monkeypatch.setattr(eraser.queue, "forget", late)
    assert eraser.erase(read_header(sent[0]).subject) == 1
    threads[0].join()
    # It came after the erasure, so it is a new study, recorded: the next erasure finds it.
    kept = {file_name(each) for uids in listener.queue.objects().values() for each in uids}
    assert {path.stem for path in tmp_path.glob("store/studies/*/objects/*")} == kept == {file_name(uid("one 1"))}
    assert eraser.queue.of_subject(read_header(sent[0]).subject) == [uid("one")]


def test_who_leaves_an_erased_study_takes_nothing_of_one_that_comes_again(
    sent: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = Store(tmp_path / "store"), Store(tmp_path / "store")
    store.work(uid("one"))
    asked, knows, threads = asking(monkeypatch), store.queue.knows, []

    def slow(study: str) -> bool:
        known = knows(study)
        threads.append(meanwhile(lambda: arrive(other, sent[0]), asked))
        return known

    monkeypatch.setattr(store.queue, "knows", slow)
    store.leave(uid("one"))
    threads[0].join()
    assert [path.stem for path in tmp_path.glob("store/studies/*/objects/*")] == [file_name(uid("one 0"))]


def test_what_cannot_be_deleted_stays_recorded_and_is_said(
    sent: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    arrive(store, sent[0])
    subject = read_header(sent[0]).subject
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as on a disk that has become read-only
        with pytest.raises(ValueError, match="1 study cannot be deleted; .* and erase again"):
            store.erase(subject)
        assert store.purge(store.queue.clock() + 1) == 0
    assert store.erase(subject) == 1
    assert not list(tmp_path.glob("store/studies/*"))
