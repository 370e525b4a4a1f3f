"""The listener against foreign senders and a real PACS: what it takes in, what it makes of it, what survives."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from clinic import (
    Orthanc,
    dcmtk,
    judge,
    listening,
    settings,
    start_listener,
    storescu,
    storm,
    uid,
    wait_for,
    write_study,
)
from pydicom import dcmread
from sqlalchemy.exc import OperationalError

from anogan.cli.console import free_port
from anogan.pacs import open_node
from anogan.pacs.listener import Listener, delay, send
from anogan.pacs.queue import Queue
from anogan.pacs.settings import Retry


def states(listener: Listener) -> list[str]:
    return [entry.state for entry in listener.store.queue.entries()]


def counting(calls: list[int]):
    def count(study: Path) -> list[Path]:
        calls.append(len(list(study.iterdir())))
        return judge(study)

    return count


@pytest.mark.parametrize("node", ["pacs", "web"])
def test_round_trip(node: str, orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    """storescu -> listened -> judged -> found in Orthanc under the right study -> fetched again -> compared."""
    study = write_study(tmp_path / "sent", "one")
    chosen = settings(our_port, nodes=orthanc.nodes(), results=node)
    with listening(chosen, tmp_path / "store") as listener:
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: states(listener) == ["sent"])
        objects = sorted((listener.store.place(study) / "objects").iterdir())
        (result,) = (listener.store.place(study) / "results").iterdir()
    sent = {ds.SOPInstanceUID: ds for ds in map(dcmread, (tmp_path / "sent").iterdir())}
    assert {ds.SOPInstanceUID: ds for ds in map(dcmread, objects)} == sent
    for way in ("pacs", "web"):
        (again,) = open_node(chosen, way).fetch(study, tmp_path / way)
        assert dcmread(again) == dcmread(result)
    assert orthanc.stored() == orthanc.arrivals() == [dcmread(result).SOPInstanceUID]


def test_duplicates_are_scored_once_and_a_late_object_again(orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    write_study(tmp_path / "first", "one", slices=2)
    write_study(tmp_path / "all", "one", slices=3)
    calls: list[int] = []
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs")
    with listening(chosen, tmp_path / "store", counting(calls)) as listener:
        storescu(our_port, tmp_path / "first")
        storescu(our_port, tmp_path / "first")
        wait_for(lambda: states(listener) == ["sent"])
        storescu(our_port, tmp_path / "first")
        assert states(listener) == ["sent"]  # nothing new has come
        assert calls == [2]
        assert len(orthanc.stored()) == 1
        storescu(our_port, tmp_path / "all")  # one of the three is new
        wait_for(lambda: len(calls) == 2 and states(listener) == ["sent"])
        assert calls == [2, 3]
        assert len(orthanc.stored()) == len(orthanc.arrivals()) == 2
        assert len({each["MainDicomTags"]["StudyInstanceUID"] for each in orthanc.ask("studies?expand")}) == 1


def test_an_object_that_comes_during_the_judging_is_judged_too(our_port: int, tmp_path: Path) -> None:
    write_study(tmp_path / "first", "one", slices=1)
    write_study(tmp_path / "all", "one", slices=2)
    calls: list[int] = []

    def interrupted(study: Path) -> list[Path]:
        calls.append(len(list(study.iterdir())))
        if len(calls) == 1:
            storescu(our_port, tmp_path / "all")
        return judge(study)

    with listening(settings(our_port), tmp_path / "store", interrupted) as listener:
        storescu(our_port, tmp_path / "first")
        wait_for(lambda: len(calls) == 2 and states(listener) == ["judged"])
        assert calls == [1, 2]
        assert [entry.results for entry in listener.store.queue.entries()] == [1]


def test_our_own_results_come_back_and_are_not_scored(orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    study = write_study(tmp_path / "sent", "one")
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs")
    with listening(chosen, tmp_path / "store") as listener:
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: states(listener) == ["sent"])
        (result,) = (listener.store.place(study) / "results").iterdir()
        ds = dcmread(result)
        ds.Manufacturer = "a PACS that coerces"  # known by its UID
        ds.save_as(tmp_path / "coerced.dcm")
        ds.Manufacturer, ds.SOPInstanceUID = "ANOGAN", uid("of another site")  # known by its maker
        ds.file_meta.MediaStorageSOPInstanceUID, ds.SeriesInstanceUID = ds.SOPInstanceUID, uid("there")
        ds.StudyInstanceUID = uid("another study")
        ds.save_as(tmp_path / "foreign.dcm")
        storescu(our_port, result, tmp_path / "coerced.dcm", tmp_path / "foreign.dcm")
        (entry,) = listener.store.queue.entries()
        assert (entry.state, entry.objects, entry.results) == ("sent", 3, 1)


def test_a_pacs_that_is_down_gets_everything_later(orthanc: Orthanc, our_port: int, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_study(tmp_path / "sent", name)
    orthanc.stop()
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs")
    with listening(chosen, tmp_path / "store") as listener:
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: max((entry.attempts for entry in listener.store.queue.entries()), default=0) > 1)
        assert "sent" not in states(listener)
        assert {entry.reason for entry in listener.store.queue.entries()} <= {
            "",
            "not sent yet: node pacs: does not answer",
        }
        orthanc.start()
        wait_for(lambda: states(listener) == ["sent", "sent"])
    assert len(orthanc.stored()) == len(orthanc.arrivals()) == 2


@pytest.mark.parametrize("way", ["pacs", "web"])
def test_killed_between_stored_there_and_recorded_here(
    way: str, orthanc: Orthanc, our_port: int, tmp_path: Path
) -> None:
    write_study(tmp_path / "sent", "one")
    chosen = settings(our_port, nodes=orthanc.nodes(), results=way)
    with listening(settings(our_port), tmp_path / "store") as listener:  # judges, sends nothing
        storescu(our_port, tmp_path / "sent")
        wait_for(lambda: states(listener) == ["judged"])
    store, node = listener.store, open_node(chosen, way)
    store.open()
    taken = store.queue.next_to_send()
    assert taken is not None
    assert [answer for _, answer in node.send([store.result(taken[0], taken[1][0].uid)])] == [""]
    assert len(orthanc.stored()) == 1
    store.queue.recover()  # as after a kill: nothing was recorded
    again = store.queue.next_to_send()
    assert again is not None and [result.doubtful for result in again[1]] == [True]

    class Silent:  # it asks, and does not send
        holds = staticmethod(node.holds)

    send(store, Silent(), *again)  # type: ignore[arg-type]
    assert states(listener) == ["sent"]
    assert len(orthanc.arrivals()) == 1
    assert not node.holds(again[0], again[1][0].series, uid("another"))
    store.close()


@pytest.mark.slow
def test_no_study_is_lost_and_none_sent_twice_when_the_listener_is_killed(
    orthanc: Orthanc, our_port: int, tmp_path: Path
) -> None:
    """24 studies from 8 senders at once; SIGKILL while they arrive, and again while they are judged and sent."""
    dcmtk("storescu", "--version")
    names = [f"study {number}" for number in range(24)]
    expected = {write_study(tmp_path / "sent" / name, name, slices=2) for name in names}
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs", quiet=4)
    store = tmp_path / "store"
    storm(our_port, [tmp_path / "sent" / name for name in names], store, lambda: start_listener(chosen, store))
    assert {each["MainDicomTags"]["StudyInstanceUID"] for each in orthanc.ask("studies?expand")} == expected
    assert len(orthanc.stored()) == 24
    assert len(orthanc.arrivals()) == 24


def test_a_study_that_cannot_be_judged_is_not_scored_and_says_why(our_port: int, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        write_study(tmp_path / name, name, slices=1)

    def refuse(study: Path) -> list[Path]:
        (path,) = study.iterdir()
        patient = dcmread(path).PatientID
        if patient.endswith("first"):
            raise ValueError("the modality is CT, and this profile takes MR")
        if patient.endswith("second"):
            raise RuntimeError(f"words with {patient}")
        return []

    with listening(settings(our_port), tmp_path / "store", refuse) as listener:
        for name in ("first", "second", "third"):
            storescu(our_port, tmp_path / name)
        wait_for(lambda: states(listener) == ["failed"] * 3)
        assert {entry.reason for entry in listener.store.queue.entries()} == {
            "not scored: the modality is CT, and this profile takes MR",
            "not scored: the program failed (RuntimeError)",
            "not scored: nothing came of it",
        }


def test_back_off_doubles_up_to_its_limit() -> None:
    retry = Retry(first=2, longest=60)
    for failures, most in ((0, 2), (1, 4), (4, 32), (5, 60), (5000, 60)):
        waits = [delay(retry, failures) for _ in range(200)]
        assert most / 2 <= min(waits) < 0.6 * most < 0.9 * most < max(waits) <= most


def test_a_queue_that_cannot_be_written_stops_the_listener(
    our_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To go on receiving what nobody judges would hide it."""

    def broken(*_: object) -> int:
        raise OperationalError("UPDATE", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Queue, "close_quiet", broken)
    with pytest.raises(ValueError, match=r"stopped, the queue cannot be written \(OperationalError\)"):
        Listener(settings(our_port), tmp_path, judge).run(threading.Event())


def test_two_listeners_do_not_share_a_store(our_port: int, tmp_path: Path) -> None:
    with (
        listening(settings(our_port), tmp_path),
        pytest.raises(ValueError, match=r"another `anogan listen` works here; choose another --store"),
    ):
        Listener(settings(free_port()), tmp_path, judge).run(threading.Event())


def test_a_port_in_use_is_named(our_port: int, tmp_path: Path) -> None:
    with (
        listening(settings(our_port), tmp_path / "one"),
        pytest.raises(ValueError, match=rf"127.0.0.1 port {our_port}: cannot listen there"),
    ):
        Listener(settings(our_port), tmp_path / "two", judge).run(threading.Event())
