"""The state machine and its store, without a network."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clinic import judge, uid, write_study
from pydicom import dcmread

from anogan.io.dicom.persons import Person
from anogan.pacs.header import Header, read_header
from anogan.pacs.listener import send
from anogan.pacs.nodes import Unavailable
from anogan.pacs.queue import DEATHS, Queue
from anogan.pacs.store import Full, Store

HEADER = Header("1.1", "1.2", "1.3", "1.4", Person("pseudonym", True, "anna"), "digest", 100, False)
OTHER = Person("another", True, "berta")
RESULT = replace(HEADER, uid="2.1", series="2.4")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[Queue]:
    queue = Queue(tmp_path / "queue.db", clock)
    yield queue
    queue.close()


def state(queue: Queue) -> str:
    (entry,) = queue.entries()
    return entry.state


def to_judged(queue: Queue, *results: Header) -> None:
    queue.add(HEADER)
    queue.close_quiet(0)
    job = queue.take()
    assert job is not None
    assert queue.judged(job, results or [RESULT])


def test_a_study_is_complete_after_the_quiet_time(queue: Queue, clock: Clock) -> None:
    queue.add(HEADER)
    clock.now += 59
    assert queue.close_quiet(60) == 0
    queue.add(replace(HEADER, uid="1.9"))  # begins the wait anew
    clock.now += 59
    assert queue.close_quiet(60) == 0
    queue.recover()  # nobody could send while we were away
    clock.now += 59
    assert queue.close_quiet(60) == 0
    clock.now += 1
    assert (queue.close_quiet(60), state(queue)) == (1, "complete")


def test_every_state_is_passed_in_order(queue: Queue) -> None:
    queue.add(HEADER)
    assert state(queue) == "receiving"
    queue.close_quiet(0)
    assert state(queue) == "complete"
    job = queue.take()
    assert job is not None
    assert (state(queue), queue.take()) == ("judging", None)
    assert queue.judged(job, [RESULT])
    assert state(queue) == "judged"
    taken = queue.next_to_send()
    assert taken is not None
    assert (state(queue), queue.next_to_send()) == ("sending", None)
    assert [(result.uid, result.doubtful) for result in taken[1]] == [("2.1", False)]
    queue.delivered("2.1")
    queue.sent("1.3")
    assert state(queue) == "sent"


@pytest.mark.parametrize("late", ["judging", "sending"])
def test_a_late_object_sets_the_study_back(late: str, queue: Queue) -> None:
    queue.add(HEADER)
    queue.close_quiet(0)
    job = queue.take()
    assert job is not None
    if late == "judging":
        queue.add(replace(HEADER, uid="1.9"))
        assert not queue.judged(job, [RESULT])
        assert not queue.not_scored(job, "of what was there before")
    else:
        queue.judged(job, [RESULT])
        queue.next_to_send()
        queue.add(replace(HEADER, uid="1.9"))
        queue.sent("1.3")
        queue.postpone("1.3", 5, "of what was there before")
    assert state(queue) == "receiving"
    queue.close_quiet(0)
    again = queue.take()
    assert again is not None and again.generation == job.generation + 1


def test_what_was_sent_is_not_sent_again_and_what_is_outdated_never(queue: Queue) -> None:
    """Judged twice: one result stays the same, one that was not sent is replaced."""
    to_judged(queue, RESULT, replace(RESULT, uid="2.2"))
    queue.next_to_send()
    queue.delivered("2.1")
    to_judged(queue, RESULT, replace(RESULT, uid="2.3"))
    taken = queue.next_to_send()
    assert taken is not None
    assert [result.uid for result in taken[1]] == ["2.3"]


def test_what_was_refused_and_comes_again_is_offered_once_more(queue: Queue) -> None:
    """Else the study would end as sent, with a result that the PACS never took."""
    to_judged(queue)
    queue.next_to_send()
    queue.delivered("2.1", refused=True)
    queue.sent("1.3", "not sent: refused")
    to_judged(queue, RESULT, replace(RESULT, uid="2.2"))
    taken = queue.next_to_send()
    assert taken is not None
    assert [result.uid for result in taken[1]] == ["2.1", "2.2"]


def test_a_killed_process_is_made_good(queue: Queue) -> None:
    to_judged(queue)
    queue.next_to_send()
    queue.recover()
    taken = queue.next_to_send()
    assert taken is not None
    assert [result.doubtful for result in taken[1]] == [True]


def test_a_study_that_kills_the_process_is_given_up(queue: Queue) -> None:
    queue.add(HEADER)
    queue.close_quiet(0)
    for _ in range(DEATHS):
        assert queue.take() is not None
        queue.recover()
    assert queue.take() is None
    (entry,) = queue.entries()
    assert (entry.state, entry.reason) == ("failed", "not scored: the program died 3 times while judging it")
    assert queue.retry() == 1
    assert queue.take() is not None


def test_retry_judges_what_was_not_scored_and_sends_what_was_refused(queue: Queue) -> None:
    to_judged(queue)
    queue.next_to_send()
    queue.delivered("2.1", refused=True)
    queue.sent("1.3", "not sent: refused")
    with pytest.raises(ValueError, match="study 1.99: is not among the failed ones"):
        queue.retry(["1.99"])
    assert (queue.retry(["1.3"]), state(queue)) == (1, "judged")
    taken = queue.next_to_send()
    assert taken is not None and len(taken[1]) == 1
    queue.delivered("2.1")
    queue.sent("1.3")
    assert queue.retry() == 0


def test_a_postponed_study_waits_and_others_come_first(queue: Queue, clock: Clock) -> None:
    to_judged(queue)
    queue.next_to_send()
    queue.postpone("1.3", 10, "not sent yet: down")
    assert queue.next_to_send() is None
    clock.now += 10
    taken = queue.next_to_send()
    assert taken is not None
    (entry,) = queue.entries()
    assert (entry.attempts, entry.reason) == (1, "not sent yet: down")


def test_sending_records_each_object_as_it_goes(queue: Queue, tmp_path: Path) -> None:
    class Pacs:
        sent: list[str] = []
        down = True

        def holds(self, study: str, series: str, instance: str) -> bool:
            return instance in self.sent

        def send(self, files: list[Path]) -> Iterator[tuple[Path, str]]:
            for path in files:
                if self.down and self.sent:
                    raise Unavailable("down")
                self.sent.append(names[path])
                yield path, ""

    store: Any = Store(tmp_path / "store")
    store.queue = queue
    uids = ["2.1", "2.2", "2.3"]
    names = {store.result("1.3", each): each for each in uids}
    pacs: Any = Pacs()
    to_judged(queue, *(replace(RESULT, uid=each) for each in uids))
    with pytest.raises(Unavailable):
        send(store, pacs, *queue.next_to_send())  # type: ignore[misc]
    queue.postpone("1.3", 0, "down")
    pacs.down = False
    send(store, pacs, *queue.next_to_send())  # type: ignore[misc]
    assert (sorted(pacs.sent), state(queue)) == (uids, "sent")


@pytest.mark.parametrize(
    ("comes", "conflict"),
    [
        (replace(HEADER, digest="new"), ""),
        (replace(HEADER, uid="1.9"), ""),
        (replace(HEADER, digest="new", person=Person("pseudonym", True, "", "born")), ""),
        (replace(HEADER, digest="new", study="1.5"), "an object came again as part of another study"),
        (replace(HEADER, digest="new", person=OTHER), "an object came again as another patient's"),
        (replace(HEADER, digest="new", person=Person("pseudonym", True, "eva")), "an object came again as another"),
        (replace(HEADER, uid="1.9", digest="new", person=OTHER), "its objects are of several patients"),
        (replace(HEADER, uid="1.9", digest="new", person=Person("of study")), "its objects are of several patients"),
        (
            replace(HEADER, uid="1.9", digest="new", person=Person("pseudonym", True, "eva")),
            "its objects have 2 patients",
        ),
        (replace(HEADER, uid="1.9", digest="new", person=Person("pseudonym", True, "", "born")), ""),
        (replace(HEADER, uid="1.9", digest="new", study="1.5", person=OTHER), ""),
    ],
)
def test_what_contradicts_what_came_before(queue: Queue, comes: Header, conflict: str) -> None:
    queue.add(HEADER)
    found = queue.conflict(comes)
    assert found.startswith(conflict) and bool(found) == bool(conflict)


def test_a_quarantined_study_waits_for_a_person(queue: Queue, clock: Clock) -> None:
    queue.add(HEADER)
    other = replace(HEADER, uid="1.9", digest="new", person=OTHER)
    queue.quarantine(other, queue.conflict(other))
    assert queue.known(other)
    queue.add(replace(HEADER, uid="1.8", digest="third"))  # what goes with the first still comes in
    clock.now += 9999
    queue.recover()
    assert (queue.close_quiet(0), queue.take(), queue.done_before(clock.now)) == (0, None, [])
    (entry,) = queue.entries()
    assert (entry.state, entry.reason, entry.objects) == ("quarantined", "its objects are of several patients", 2)
    assert queue.of_subject("pseudonym") == queue.of_subject("another") == ["1.3"]
    with pytest.raises(ValueError, match="study 1.4: is not quarantined"):
        queue.keep_first("1.4")
    assert queue.keep_first("1.3") == ["new"]
    assert (state(queue), queue.of_subject("another")) == ("complete", [])


def test_a_conflict_stops_what_is_being_judged(queue: Queue) -> None:
    queue.add(HEADER)
    queue.close_quiet(0)
    job = queue.take()
    assert job is not None
    queue.quarantine(replace(HEADER, digest="new", person=OTHER), "an object came again as another patient's")
    assert not queue.judged(job, [RESULT])
    assert state(queue) == "quarantined"


def test_a_queue_of_before_goes_on(tmp_path: Path) -> None:
    """Without owners of its objects, as it was written before they were noted."""
    queue = Queue(tmp_path / "queue.db")
    queue.add(HEADER)
    with sqlite3.connect(tmp_path / "queue.db") as file:
        file.execute("DROP TABLE owner")
        file.execute("DROP TABLE quarantined")
    queue.close()
    queue = Queue(tmp_path / "queue.db")
    assert queue.conflict(replace(HEADER, digest="new", person=OTHER)) == "its objects are of several patients"
    assert queue.conflict(replace(HEADER, digest="new")) == ""
    assert queue.of_subject("pseudonym") == ["1.3"]
    queue.close()


def test_a_clock_that_goes_back_holds_nothing_up(queue: Queue, clock: Clock) -> None:
    clock.now = 1e6
    queue.add(HEADER)
    clock.now -= 86_400
    assert queue.close_quiet(60) == 0
    clock.now += 60
    assert queue.close_quiet(60) == 1
    job = queue.take()
    assert job is not None and queue.judged(job, [RESULT])
    assert queue.next_to_send() is not None
    queue.postpone("1.3", 600, "down")
    assert queue.next_to_send() is None
    clock.now -= 86_400
    assert queue.next_to_send() is not None


def test_a_clock_that_goes_back_keeps_no_study_longer(queue: Queue, clock: Clock) -> None:
    clock.now = 1e9
    queue.add(HEADER)
    queue.close_quiet(0)
    job = queue.take()
    assert job is not None and queue.not_scored(job, "no images")
    clock.now -= 365 * 86_400
    assert queue.done_before(clock.now - 60) == []
    clock.now += 61
    assert queue.done_before(clock.now - 60) == ["1.3"]


def test_a_damaged_queue_is_named(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match=r"queue.db: cannot be opened as a queue \(file is not a database\)"):
        Queue(tmp_path / "queue.db")


# the store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    store.open()
    yield store
    store.close()


def arrive(store: Store, name: str, slices: int = 2) -> str:
    study = write_study(store.incoming, name, slices)
    for path in sorted(store.incoming.iterdir()):
        store.add(path, read_header(path))
    return study


def to_results(store: Store) -> None:
    store.queue.close_quiet(0)
    while (job := store.queue.take()) is not None:
        store.work(job.study)
        assert store.judged(job, judge(store.place(job.study) / "objects"))


def test_no_name_and_no_record_tells_a_patient(store: Store) -> None:
    """Neither file names nor the database hold what identifies; the objects themselves do, of course."""
    arrive(store, "one")
    to_results(store)
    store.queue.next_to_send()
    store.queue.postpone(uid("one"), 1, "not sent yet")
    names = [str(path.relative_to(store.folder)) for path in store.folder.rglob("*")]
    records = b"".join(path.read_bytes() for path in store.folder.glob("queue.db*"))
    assert not any("secret" in name or "one" in name for name in names)
    assert b"secret" not in records
    assert uid("one").encode() in records
    assert store.folder.stat().st_mode & 0o077 == 0


def test_what_was_not_acknowledged_is_cleared_away(store: Store) -> None:
    study = arrive(store, "one")
    (store.incoming / "tmp.dcm").write_bytes(b"half")
    (store.place(study) / "objects" / "unrecorded.dcm").write_bytes(b"whole")
    arrived = store.place("2.25.7") / "objects" / "unrecorded.dcm"
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(b"whole")
    store.close()
    store.open()
    assert not list(store.incoming.iterdir())
    assert len(list((store.place(study) / "objects").iterdir())) == 2
    assert not arrived.parent.parent.exists()


def test_an_object_of_two_studies_is_quarantined(store: Store, tmp_path: Path) -> None:
    """It is judged with neither, overwrites nothing, and does not outlive an erasure."""
    study = arrive(store, "one", 1)
    write_study(tmp_path / "again", "one", 1)
    (path,) = (tmp_path / "again").iterdir()
    data = path.read_bytes()
    assert store.add(path, replace(read_header(path), study="2.25.7", digest="another"))
    assert [kept.read_bytes() for kept in (store.place("2.25.7") / "quarantine").iterdir()] == [data]
    assert not (store.place("2.25.7") / "objects").exists()
    assert len(list((store.place(study) / "objects").iterdir())) == 1
    assert [(entry.uid, entry.state) for entry in store.queue.entries()][1:] == [("2.25.7", "quarantined")]
    store.close()
    store.open()  # it is still there after a restart
    assert len(list((store.place("2.25.7") / "quarantine").iterdir())) == 1
    with pytest.raises(ValueError, match="all of it contradicts other studies; erase it by its subject"):
        store.keep_first("2.25.7")
    subject = store.queue.entries()[0].subject
    assert store.erase(subject) == 2
    assert not store.place("2.25.7").exists()


def test_an_object_that_comes_again_with_another_patient_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    study = arrive(store, "one", 2)
    write_study(tmp_path / "again", "one", 2)
    path = min((tmp_path / "again").iterdir())
    ds = dcmread(path)
    ds.PatientID, ds.PatientName = "B-2", "BETA^BERTA"
    ds.save_as(path)
    before = {kept: kept.read_bytes() for kept in (store.place(study) / "objects").iterdir()}
    other = read_header(path).subject
    assert store.add(path, read_header(path))
    assert {kept: kept.read_bytes() for kept in (store.place(study) / "objects").iterdir()} == before
    (entry,) = store.queue.entries()
    assert (entry.state, entry.reason) == ("quarantined", "an object came again as another patient's")
    assert store.queue.of_subject(other) == [study]
    assert store.keep_first(study) == 1
    assert not list((store.place(study) / "quarantine").iterdir())
    assert store.queue.of_subject(other) == []


def test_erasing_a_person_leaves_nothing_of_them(store: Store) -> None:
    first, second = arrive(store, "one"), arrive(store, "two")
    to_results(store)
    subject = next(entry.subject for entry in store.queue.entries() if entry.uid == first)
    assert store.erase(subject) == 1
    assert not store.place(first).exists()
    assert [entry.uid for entry in store.queue.entries()] == [second]
    assert first.encode() not in b"".join(path.read_bytes() for path in store.folder.glob("queue.db*"))
    assert store.erase(subject) == 0


def test_a_deletion_that_was_killed_halfway_is_no_obstacle(store: Store) -> None:
    study = arrive(store, "one")
    to_results(store)
    shutil.rmtree(store.place(study) / "objects")
    store.close()
    store.open()
    (entry,) = store.queue.entries()
    assert store.erase(entry.subject) == 1
    assert not store.place(study).exists()


def test_a_study_erased_while_it_is_judged_does_not_come_back(store: Store) -> None:
    study = arrive(store, "one")
    store.queue.close_quiet(0)
    job = store.queue.take()
    assert job is not None
    store.work(study)
    results = judge(store.place(study) / "objects")
    kept = [path.rename(store.folder / path.name) for path in results]
    (entry,) = store.queue.entries()
    store.erase(entry.subject)
    assert not store.judged(job, kept)
    store.leave(study)
    assert not store.place(study).exists()


def test_purging_makes_room(tmp_path: Path) -> None:
    write_study(tmp_path / "sent", "one", 1)
    (path,) = (tmp_path / "sent").iterdir()
    header = read_header(path)
    store = Store(tmp_path / "store", limit=1.5 * header.size)
    store.open()
    store.add(path, header)
    write_study(tmp_path / "more", "two", 1)
    (other,) = (tmp_path / "more").iterdir()
    with pytest.raises(Full):
        store.add(other, read_header(other))
    store.queue.close_quiet(0)
    job = store.queue.take()
    assert job is not None
    store.queue.not_scored(job, "too few slices")
    assert store.purge(store.queue.clock() - 60) == 0
    assert store.purge(store.queue.clock() + 60) == 1
    assert store.add(other, read_header(other))
    store.close()


def test_a_result_of_another_study_is_refused(store: Store) -> None:
    arrive(store, "one")
    other = write_study(store.folder / "elsewhere", "two", 1)
    store.queue.close_quiet(0)
    job = store.queue.take()
    assert job is not None and job.study != other
    with pytest.raises(ValueError, match="a result of another study"):
        store.judged(job, (store.folder / "elsewhere").iterdir())


def test_counts_by_state_and_the_last_change(queue: Queue, clock: Clock) -> None:
    assert (queue.counts(), queue.changed()) == ({}, None)
    queue.add(HEADER)
    clock.now += 5
    queue.add(replace(HEADER, uid="1.9", study="1.8"))
    assert (queue.counts(), queue.changed()) == ({"receiving": 2}, clock.now)
    clock.now += 100
    queue.close_quiet(1)
    queue.take()
    assert queue.counts() == {"complete": 1, "judging": 1}
