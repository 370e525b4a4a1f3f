"""What a crash, a second server or a desk that is down can do to a screening: nothing."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from anogan.api.screening import Screener
from anogan.api.tables import ScreeningRow
from anogan.api.verdict import decide
from anogan.detector.calibration import Calibration
from anogan.errors import Code
from anogan.results.reading import read_case, read_results
from anogan.review import open_desk
from anogan.scan import Result

from .conftest import CALIBRATION, MemoryDesk, figures, photo


def test_a_desk_that_is_down_gets_it_later(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve()
    api.desk.down = True
    lost = api.send(photo(255))
    assert lost.status_code == 201  # it is kept
    assert "anogan_undelivered_total 1.0" in figures(api)
    api.desk.down = False
    api.send(photo(254))
    assert f"screening {lost.json()['id']}" in api.desk.cases
    assert len(api.desk.cases) == 2


def test_the_next_start_delivers_what_is_not_on_the_desk(serve: Callable[..., SimpleNamespace]) -> None:
    first = serve()
    first.desk.down = True
    number = first.send(photo(255)).json()["id"]
    first.stop()
    second = serve()
    assert set(second.desk.cases) == {f"screening {number}"}
    assert second.client.get(f"/v1/screenings/{number}/heatmap").status_code == 200


def test_killed_before_the_pictures_were_in_their_place(serve: Callable[..., SimpleNamespace]) -> None:
    """Between the database and the answer: kept. Before the database: gone, for nobody was told of it."""
    first = serve()
    number = first.send(photo(255)).json()["id"]
    first.stop()
    cases, incoming = first.store / "cases", first.store / "incoming"
    (cases / number).rename(incoming / number)
    (incoming / ("f" * 16)).mkdir()
    second = serve()
    assert second.client.get(f"/v1/screenings/{number}/heatmap").status_code == 200
    assert list(incoming.iterdir()) == []
    assert [path.name for path in cases.iterdir()] == [number]


def test_the_pictures_are_on_disk_before_the_database_and_that_before_the_desk(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    done: list[str] = []

    def synced(path: Path) -> None:
        with Session(api.screener._read) as session:
            done.append(f"{Path(path).name} {len(session.scalars(select(ScreeningRow)).all())}")

    class Desk(MemoryDesk):
        def add(self, case: Any) -> int:
            done.append("desk")
            return super().add(case)

    monkeypatch.setattr("anogan.api.screening.sync", synced)
    api.screener.desk = Desk()
    number = api.send(photo(255)).json()["id"]
    assert sorted(done[:4]) == ["heatmap.png 0", "maps.npz 0", "results.json 0", "thumbnail.png 0"]
    assert done[4:] == [f"{number} 0", "incoming 0", "cases 1", "desk"]


def test_what_a_person_must_see_comes_with_its_map_and_what_it_means(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve()
    number = api.send(photo(255)).json()["id"]
    passed = api.send(photo(10)).json()["id"]
    folder = Path(api.desk.cases[f"screening {number}"].folder)
    found = read_results(folder)
    assert found["detector"] == {"name": "mean", "hash": "0" * 16}
    (case,) = found["cases"]
    assert (case["case"], case["file"], case["subject"], case["flagged"]) == (number, "photo", "", True)
    assert (case["score"], case["p_value"]) == (1.0, 0.05)
    assert case["reason"].startswith("the score 1 reaches")
    assert read_case(folder.parent.parent, folder.name)["anomaly_map"].tolist() == [[1.0] * 8] * 8
    assert not (folder.parent / passed / "results.json").exists()


def test_one_server_a_store(serve: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    api = serve()
    with pytest.raises(ValueError, match=r"store: is in use by another `anogan serve`; choose another folder$"):
        Screener(tmp_path, api.detector, api.screener._read, api.store, api.desk)


def test_a_second_server_on_the_database_makes_no_second_screening(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    first = api.send(photo(5), idempotency="k").json()
    looks = iter([None])  # as if the other server had been faster after we had looked
    earlier = Screener._earlier
    monkeypatch.setattr(Screener, "_earlier", lambda self, sent: next(looks, earlier(self, sent)))
    assert api.send(photo(5), idempotency="k").json() == first
    assert len(list((api.store / "cases").iterdir())) == 1
    assert list((api.store / "incoming").iterdir()) == []


def test_a_locked_database_is_a_503_that_leaves_nothing_and_tells_no_reference(
    serve: Callable[..., SimpleNamespace], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = serve()
    impatient = "PRAGMA busy_timeout = 1"
    event.listen(api.screener._read, "begin", lambda connection: connection.exec_driver_sql(impatient), insert=True)
    other = sqlite3.connect(tmp_path / "desk.db")
    other.execute("BEGIN IMMEDIATE")
    response = api.send(photo(255), reference="Mustermann")
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")
    assert response.json()["detail"] == "screenings cannot be kept at the moment; send it again later"
    assert list((api.store / "incoming").iterdir()) == list((api.store / "cases").iterdir()) == []
    assert len(api.screener._linkage) == 0
    said = [record.getMessage() for record in caplog.records if record.name == "anogan.api"]
    assert said == ["a screening cannot be kept: OperationalError"]
    other.close()
    assert api.send(photo(255), reference="Mustermann").status_code == 201


def test_what_is_accepted_is_answered_also_when_the_desk_cannot_be_asked_for(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    down = True

    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if down and "to_desk" in statement.partition("WHERE")[2]:
            raise OperationalError("SELECT", {}, Exception("the connection was closed"))

    event.listen(api.screener._read, "before_cursor_execute", fail)
    assert api.send(photo(255)).status_code == 201
    assert not api.desk.cases
    down = False
    assert api.send(photo(254)).status_code == 201
    assert len(api.desk.cases) == 2


def lose_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the connection break between a commit and its answer."""
    accept = Screener._accept

    def lost(*given: Any) -> None:
        accept(*given)
        raise OperationalError("COMMIT", {}, Exception("the connection was closed"))

    monkeypatch.setattr(Screener, "_accept", lost)


def test_a_commit_whose_answer_was_lost_is_a_screening(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve()
    lose_the_commit(monkeypatch)
    response = api.send(photo(255))
    assert response.status_code == 201
    number = response.json()["id"]
    assert [path.name for path in (api.store / "cases").iterdir()] == [number]
    assert set(api.desk.cases) == {f"screening {number}"}


def test_what_the_database_cannot_be_asked_about_waits_for_the_next_start(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serve()

    def down(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("the connection was closed"))

    with monkeypatch.context() as patch:
        lose_the_commit(patch)
        patch.setattr(Screener, "find", down)
        assert first.send(photo(255)).status_code == 503
    (left,) = (first.store / "incoming").iterdir()
    assert left.name in first.screener._linkage
    first.stop()
    second = serve()
    assert second.client.get(f"/v1/screenings/{left.name}/heatmap").status_code == 200
    assert set(second.desk.cases) == {f"screening {left.name}"}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_with_the_desk_itself(
    serve: Callable[..., SimpleNamespace], request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    url = str(tmp_path / "desk.db") if kind == "sqlite" else request.getfixturevalue("postgres").url()
    desk = open_desk(url)
    api = serve(desk=desk, database=url)
    passed, flagged, open_case = (api.send(data, idempotency="k" + str(len(data))).json() for data in (
        photo(9), photo(255, side=30), photo(9, side=3),
    ))  # fmt: skip
    assert (passed["decision"], flagged["decision"], open_case["decision"]) == ("pass", "review", "not scored")
    cases = {case.key: case for case in desk.page().cases}
    assert set(cases) == {f"screening {found['id']}" for found in (flagged, open_case)}
    assert cases[f"screening {flagged['id']}"].flagged is True
    assert api.send(photo(9), idempotency="k" + str(len(photo(9)))).json() == passed
    assert api.client.get(f"/v1/screenings/{flagged['id']}").json() == flagged
    with np.load(Path(cases[f"screening {flagged['id']}"].folder) / "maps.npz") as maps:
        assert maps["image"].shape == (30, 30)
    desk.close()


def result(flagged: bool | None, p_value: float | None, reason: str = "") -> Result:
    return Result("photo", "scored", reason, 0.5, p_value, flagged, components={"spectrum": 1.0})


@pytest.mark.parametrize(
    ("found", "calibration", "decision"),
    [
        (result(False, 0.5), CALIBRATION, "pass"),
        (result(True, 0.01), CALIBRATION, "review"),
        (result(None, 0.04, "review by hand: it varies"), CALIBRATION, "review"),
        (result(None, None, "not calibrated: no site"), CALIBRATION, "not decided"),
        (replace(result(None, 0.5, "it drifted"), code=Code.PAUSED), CALIBRATION, "not decided"),
        (result(None, None), None, "not decided"),
        (Result("photo", "not scored", "photo: no face"), CALIBRATION, "not scored"),
    ],
)
def test_decisions(found: Result, calibration: Calibration | None, decision: str) -> None:
    given, reasons = decide(found, calibration)
    assert given == decision
    assert all(reasons)
    assert not any("photo:" in reason for reason in reasons)
