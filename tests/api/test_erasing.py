"""Erased is erased: on the desk, in the database, among the prints, on the disk; on request or for its age."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from anogan.api.app import Settings, create_app
from anogan.api.erasing import Elsewhere, person_of, subject_of
from anogan.api.keys import Keys
from anogan.api.screening import Screener
from anogan.api.tables import ScreeningRow, open_tables
from anogan.assurance.drift import Case, Monitor
from anogan.cli import main
from anogan.io.raster import read_raster
from anogan.linkage import make_prints
from anogan.review import NotAllowed, open_desk
from anogan.review.cases import NewCase
from anogan.storage.pseudonym import person_hash

from .conftest import CALIBRATION, MeanDetector, MemoryDesk, photo, texture

DAY = 86_400.0


@pytest.fixture
def api(serve: Callable[..., SimpleNamespace], tmp_path: Path) -> Iterator[SimpleNamespace]:
    """Serve with the desk itself, where nothing passes."""
    desk = open_desk(tmp_path / "desk.db")
    yield serve(MeanDetector(calibration=None), desk=desk)
    desk.close()


def traces(folder: Path, number: str, data: bytes, reference: str) -> list[str]:
    """Return which files below a folder hold something of a screening."""
    scan = read_raster("photo", data)
    codes = make_prints(scan).codes.values()
    kept = [(folder / "store" / "cases" / number / name) for name in ("thumbnail.png", "heatmap.png", "maps.npz")]
    words = [
        number.encode(),
        reference.encode(),
        subject_of(reference).encode(),
        *(code.bits.tobytes() for code in codes),
    ]
    words += [path.read_bytes()[-64:-16] for path in kept if path.is_file()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [f"{path}: {word!r}" for path in files for word in words if word in path.read_bytes() or number in str(path)]


def grow_old(api: SimpleNamespace, number: str, days: float) -> None:
    with Session(api.screener._write) as session:
        session.execute(update(ScreeningRow).where(ScreeningRow.id == number).values(created=time.time() - days * DAY))
        session.commit()


def test_nothing_of_the_photo_remains(api: SimpleNamespace, tmp_path: Path) -> None:
    kept = api.send(texture(2), reference="another").json()
    gone = api.send(texture(1), reference="Erika-Mustermann").json()
    later = api.send(texture(1), reference="third").json()
    assert later["links"][0]["screening"] == f"/v1/screenings/{gone['id']}"
    pictures = {path.name: path.read_bytes() for path in (api.store / "cases" / gone["id"]).iterdir()}
    found = traces(tmp_path, gone["id"], texture(1), "Erika-Mustermann")
    for place in ("desk.db", "links.sqlite", "thumbnail.png", "maps.npz"):
        assert any(place in line for line in found), place  # the search finds what it is for

    assert api.client.delete(f"/v1/screenings/{later['id']}").status_code == 204  # it had the same prints
    response = api.client.delete(f"/v1/screenings/{gone['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert traces(tmp_path, gone["id"], texture(1), "Erika-Mustermann") == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() in pictures.values()]
    for method in ("GET", "DELETE"):
        assert api.client.request(method, f"/v1/screenings/{gone['id']}").status_code == 404
    assert [case.key for case in api.desk.page().cases] == [f"screening {kept['id']}"]
    assert api.desk.verify().faults == ()
    assert api.client.get(f"/v1/screenings/{kept['id']}").json() == kept


def test_links_go_with_either_end(api: SimpleNamespace) -> None:
    first, second = (api.send(texture(1), reference=name).json() for name in "ab")
    assert len(second["links"]) == 1
    api.client.delete(f"/v1/screenings/{first['id']}")
    assert api.client.get(f"/v1/screenings/{second['id']}").json()["links"] == []
    assert api.send(texture(1), reference="c").json()["links"][0]["screening"] == f"/v1/screenings/{second['id']}"


def test_postgresql_forgets_as_well(serve: Callable[..., SimpleNamespace], request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").url()
    desk = open_desk(url)
    api = serve(MeanDetector(calibration=None), desk=desk, database=url)
    first, second = (api.send(texture(1), reference=name).json() for name in "ab")
    assert [link["screening"] for link in second["links"]] == [f"/v1/screenings/{first['id']}"]
    assert api.client.delete(f"/v1/screenings/{first['id']}").status_code == 204
    assert api.client.get(f"/v1/screenings/{second['id']}").json()["links"] == []
    assert [case.key for case in desk.page().cases] == [f"screening {second['id']}"]
    assert desk.verify().faults == ()
    assert list((api.store / "erasing").iterdir()) == []
    desk.close()


def test_it_takes_the_scope(api: SimpleNamespace) -> None:
    number = api.send().json()["id"]
    key = api.keys.create("client", ["screen", "read"])
    response = api.client.delete(f"/v1/screenings/{number}", headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 403
    assert response.json()["detail"] == "this key may screen and read; the request needs the scope erase"
    assert api.client.get(f"/v1/screenings/{number}").status_code == 200


def test_a_killed_erasure_is_finished_by_the_next_start(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serve()
    number = first.send(texture(1)).json()["id"]
    with monkeypatch.context() as patch:
        patch.setattr("anogan.api.erasing.Eraser._finish", lambda *_: None)
        first.screener.erase(number)
    assert (first.store / "erasing" / number / "thumbnail.png").is_file()
    first.stop()
    second = serve()
    assert second.screener.find(number) is None
    assert number not in second.screener._linkage
    assert [*(second.store / "erasing").iterdir(), *(second.store / "cases").iterdir()] == []


def test_while_the_desk_is_down_nothing_is_erased(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve()
    body = api.send(photo(255)).json()
    api.desk.down = True
    response = api.client.delete(f"/v1/screenings/{body['id']}")
    assert response.status_code == 503
    assert response.json()["detail"] == "screenings cannot be erased at the moment; ask again later"
    assert api.client.get(body["heat_map"]).status_code == 200


def test_what_is_erased_while_it_is_delivered_does_not_come_back(serve: Callable[..., SimpleNamespace]) -> None:
    class SlowDesk(MemoryDesk):
        def add(self, case: NewCase) -> int:
            if not self.down:
                api.screener._eraser.erase(case.key.removeprefix("screening "))  # the command line is faster
            return super().add(case)

    api = serve(MeanDetector(calibration=None), desk=SlowDesk())
    api.desk.down = True
    number = api.send().json()["id"]
    api.desk.down = False
    api.screener.deliver()
    assert api.screener.find(number) is None
    assert api.desk.cases == {}


def test_another_servers_screening_is_not_half_erased(api: SimpleNamespace) -> None:
    number = api.send().json()["id"]
    (api.store / "cases" / number).rename(api.store.parent / "elsewhere")
    api.screener._linkage.erase(number)
    response = api.client.delete(f"/v1/screenings/{number}")
    assert response.status_code == 409
    assert response.json()["detail"] == f"screening {number}: is in the store of another server; erase it there"
    assert api.client.get(f"/v1/screenings/{number}").status_code == 200
    with pytest.raises(Elsewhere):
        api.screener.erase(number)
    api.screener.retire(0)  # goes on


def test_old_screenings_go_unless_they_are_to_be_decided(api: SimpleNamespace) -> None:
    young, waiting, decided = (api.send(texture(seed)).json()["id"] for seed in range(3))
    for number in (waiting, decided):
        grow_old(api, number, 31)
    case = next(case for case in api.desk.page().cases if case.key.endswith(decided))
    held = api.desk.lease(case.id)
    api.desk.decide(case.id, held.version, "dismiss", "normal variant")
    api.screener.retire(30)
    assert [api.screener.find(number) is not None for number in (young, waiting, decided)] == [True, True, False]
    assert {case.key for case in api.desk.page().cases} == {f"screening {young}", f"screening {waiting}"}
    assert api.desk.verify().faults == ()


def test_the_server_looks_for_old_ones_itself(serve: Callable[..., SimpleNamespace]) -> None:
    first = serve()
    number = first.send(photo(9)).json()["id"]
    grow_old(first, number, 2)
    first.stop()
    second = serve(settings=Settings(hosts=("testserver",), wait=0.0, keep_days=1))
    until = time.monotonic() + 600
    while second.screener.find(number) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_the_desk_does_not_have_yet_is_not_old(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve()
    api.desk.down = True
    number = api.send(photo(255)).json()["id"]
    grow_old(api, number, 100)
    api.desk.down = False
    api.screener.retire(1)
    assert api.screener.find(number) is not None


def test_the_command_erases_a_reference_also_while_the_server_works(
    api: SimpleNamespace, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [api.send(texture(seed), reference="application 7").json()["id"] for seed in range(2)]
    other = api.send(texture(5), reference="application 8").json()
    command = ["erase", str(tiny_run), "--database", str(tmp_path / "desk.db"), "--screenings", str(api.store)]
    with pytest.raises(SystemExit) as leaving:
        main([*command, "--reference", "application 7"])
    assert not leaving.value.code
    assert f"erased: 2 screenings in {api.store}, prints and cases too" in capsys.readouterr().out
    for seed, number in enumerate(numbers):
        assert traces(tmp_path, number, texture(seed), "application 7") == []
    assert api.client.get(f"/v1/screenings/{other['id']}").json() == other
    assert api.send(texture(0)).json()["links"] == []
    with pytest.raises(SystemExit) as leaving:
        main([*command, subject_of("application 8")])
    assert not leaving.value.code
    assert api.client.get(f"/v1/screenings/{other['id']}").status_code == 404
    with pytest.raises(SystemExit, match="keeps nothing that is known to be of this person"):
        main([*command, "--reference", "application 9"])
    with pytest.raises(SystemExit, match=r"nowhere: is no folder of `anogan serve`; give it with --screenings$"):
        main([*command[:-1], str(tmp_path / "nowhere"), "--reference", "x"])
    with pytest.raises(SystemExit, match=r"none\.db: there is no such file$"):
        main([*command[:3], str(tmp_path / "none.db"), *command[4:], "--reference", "x"])


def test_the_command_has_the_drift_monitor_forget_a_reference(
    api: SimpleNamespace, tiny_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    monitor = Monitor.open(run)
    monitor.add([Case("photo 1", "application 7", 0.5, {}), Case("photo 2", "application 8", 0.5, {})])
    monitor.save(run)
    place = ["--database", str(tmp_path / "desk.db"), "--screenings", str(api.store)]
    with pytest.raises(SystemExit) as leaving:
        main(["erase", str(run), *place, "--reference", "application 7"])
    assert not leaving.value.code
    kept = Monitor.open(run)
    assert person_hash("application 7") not in kept.seen
    assert person_hash("application 8") in kept.seen
    assert kept.scores == [0.5, 0.5]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """Serve with a drift monitor that counts."""
    described = {"calibration": CALIBRATION.to_json(), "provenance": {}}
    (tmp_path / "detector.json").write_text(json.dumps(described))
    engine, desk = open_tables(str(tmp_path / "desk.db")), open_desk(tmp_path / "desk.db")
    screener = Screener(tmp_path, MeanDetector(), engine, tmp_path / "store", desk, monitor=True)  # type: ignore[arg-type]
    app, keys = create_app(screener, Keys(engine), Settings(hosts=("testserver",), wait=0.0)), Keys(engine)
    with TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {keys.create('tests', ['screen', 'erase'], rate='1000/minute')}"

        def send(value: int, reference: str) -> str:
            files = {"image": ("anybody.png", photo(value))}
            return str(
                client.post("/v1/screenings", files=files, data={"reference": reference} if reference else {}).json()[
                    "id"
                ]
            )

        yield SimpleNamespace(client=client, send=send, screener=screener, run=tmp_path)
    desk.close()


def test_the_drift_monitor_forgets_a_reference_with_its_last_screening(watched: SimpleNamespace) -> None:
    first, second = (watched.send(value, "application 7") for value in (10, 20))
    old, nobody = watched.send(30, "application 8"), [watched.send(value, "") for value in (40, 50)]
    known = {person_hash(person_of(name, "tests")) for name in ("application 7", "application 8")}
    watched.screener._watch.flush()
    assert known < Monitor.open(watched.run).seen
    assert watched.client.delete(f"/v1/screenings/{first}").status_code == 204
    assert watched.client.delete(f"/v1/screenings/{nobody[0]}").status_code == 204
    assert known < Monitor.open(watched.run).seen
    assert watched.client.delete(f"/v1/screenings/{second}").status_code == 204
    assert known & Monitor.open(watched.run).seen == {person_hash(person_of("application 8", "tests"))}
    grow_old(watched, old, 31)
    watched.screener.retire(30)
    assert known & Monitor.open(watched.run).seen == set()
    assert len(Monitor.open(watched.run).scores) == 4  # they stay, as nobody's


def test_the_drift_monitor_forgets_who_waits_to_be_counted(watched: SimpleNamespace) -> None:
    number = watched.send(10, "application 7")
    assert not (watched.run / "drift.json").exists()
    assert watched.client.delete(f"/v1/screenings/{number}").status_code == 204
    watched.screener._watch.flush()
    kept = Monitor.open(watched.run)
    assert person_hash(person_of("application 7", "tests")) not in kept.seen
    assert len(kept.scores) == 1


def test_an_erasure_killed_before_the_monitor_forgets_is_finished(
    watched: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = watched.send(10, "application 7")
    with monkeypatch.context() as patch:
        patch.setattr(watched.screener._eraser, "_forget", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched.screener.erase(number)
    watched.screener.recover()
    assert watched.screener.find(number) is None
    assert person_hash(person_of("application 7", "tests")) not in Monitor.open(watched.run).seen


def test_a_reference_erases_no_study_of_a_listener(
    api: SimpleNamespace, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose header names no person would be the first to go."""
    asked: list[str] = []
    monkeypatch.setattr("anogan.pacs.store.Store.erase", lambda _, subject: asked.append(subject) or 0)
    (tmp_path / "listener").mkdir()
    api.send(reference="application 7")
    place = ["--database", str(tmp_path / "desk.db"), "--screenings", str(api.store)]
    with pytest.raises(SystemExit) as leaving:
        main(["erase", str(tiny_run), *place, "--store", str(tmp_path / "listener"), "--reference", "application 7"])
    assert not leaving.value.code
    assert asked == []


def test_a_member_may_not_take_back_a_screening_and_nobody_an_image(tmp_path: Path) -> None:
    desk = open_desk(tmp_path / "members.db")
    for kind in ("screening", "image"):
        desk.add(NewCase(f"{kind} 1", kind, "", "x", "d", "scored", "", 1.0, 0.1, True, ""))  # type: ignore[arg-type]
    with pytest.raises(NotAllowed, match="is no screening, so its sender cannot take it back; erase its subject"):
        desk.withdraw("image 1")
    desk.set_role("ada", "admin")
    desk.sign_in("ada").set_role("bob", "reader")
    with pytest.raises(NotAllowed, match="bob: is reader and may not administer the desk"):
        desk.sign_in("bob").withdraw("screening 1")
    assert desk.withdraw("screening 1")  # the server
    assert desk.withdraw("screening 1")  # is gone
    desk.close()
