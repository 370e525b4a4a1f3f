"""A photo that was seen before says so, with links; an applicant's own photos do not link."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from anogan.api.screening import Screener
from anogan.linkage import Link, Linkage

from .conftest import photo, texture


@pytest.fixture
def api(serve: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return serve()


def test_the_reasons_name_other_applications_and_the_links_lead_there(api: SimpleNamespace) -> None:
    first = api.send(texture(1), reference="application 1").json()
    api.send(texture(2), reference="application 2")
    assert first["links"] == []
    again = api.send(texture(1, side=48), reference="application 3").json()
    assert again["reasons"][-1] == "this photo was seen in 1 other application"
    (link,) = again["links"]
    assert (link["screening"], link["what"], link["words"]) == (
        f"/v1/screenings/{first['id']}", "photo", "the same photo",
    )  # fmt: skip
    assert 0 <= link["distance"] < 0.1
    assert api.client.get(link["screening"]).json() == first
    assert api.client.get(f"/v1/screenings/{again['id']}").json() == again


def test_a_link_decides_nothing_and_reaches_the_desk_with_the_reasons(api: SimpleNamespace) -> None:
    api.send(texture(1), reference="a")
    assert api.send(texture(1), reference="b").json()["decision"] == "pass"
    api.detector.calibration = None
    found = api.send(texture(1), reference="c").json()
    (case,) = api.desk.cases.values()
    assert case.key == f"screening {found['id']}"
    assert case.reason.endswith("; this photo was seen in 2 other applications")


def test_what_an_applicant_sends_again_is_no_other_application(api: SimpleNamespace) -> None:
    for _ in range(3):
        assert api.send(texture(1), reference="one").json()["links"] == []
    other = api.send(texture(1), reference="two").json()
    assert other["reasons"][-1] == "this photo was seen in 1 other application"  # three screenings, one application
    assert len(other["links"]) == 1
    nameless = api.send(texture(1)).json()
    assert nameless["reasons"][-1] == "this photo was seen in 2 other applications"
    assert api.send(texture(1)).json()["reasons"][-1] == "this photo was seen in 3 other applications"
    assert api.send(texture(1), reference="one").json()["reasons"][-1] == "this photo was seen in 3 other applications"


def test_blank_photos_are_like_nothing(api: SimpleNamespace) -> None:
    assert [api.send(photo(9), reference=name).json()["links"] for name in "ab"] == [[], []]


def test_of_two_that_come_at_once_the_second_finds_the_first(api: SimpleNamespace) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: api.send(texture(1), reference=str(name)).json(), range(8)))
    assert sorted(len(answer["links"]) for answer in answers) == list(range(8))


def test_the_answer_names_the_nearest_twenty_and_counts_all(
    api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [api.send(photo(9)).json()["id"] for _ in range(22)]
    links = [Link(number, "background", 0.01 * place, "x") for place, number in enumerate(numbers)]
    gone = Link("f" * 16, "background", 0.0, "x")
    monkeypatch.setattr(Linkage, "links", lambda *_: [gone, *links])
    found = api.send().json()
    assert found["reasons"][-1] == "this background was seen in 22 other applications"
    assert [link["screening"] for link in found["links"]] == [f"/v1/screenings/{number}" for number in numbers[:20]]


def test_what_was_not_accepted_links_to_nothing(
    serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the prints and before the screening was in the database: nobody was told of it."""
    first = serve()

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("anogan.api.screening.in_other_applications", die)
        with pytest.raises(Killed):
            Screener._accept(first.screener, *_arguments(first, texture(1)))
    (first.store / "incoming" / ("e" * 16)).mkdir()
    assert "e" * 16 in first.screener._linkage
    assert first.send(texture(1)).json()["links"] == []  # also before the next start
    first.stop()
    second = serve()
    assert "e" * 16 not in second.screener._linkage
    assert len(second.screener._linkage) == 1
    assert len(second.send(texture(1)).json()["links"]) == 1  # what was accepted is remembered


def _arguments(api: SimpleNamespace, data: bytes) -> tuple[object, object]:
    from anogan.api.tables import ScreeningRow
    from anogan.io.raster import read_raster
    from anogan.linkage import make_prints

    row = ScreeningRow(id="e" * 16, reference="", reasons=[])
    return row, make_prints(read_raster("photo", data))


def test_a_failed_write_leaves_no_print(api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("anogan.api.screening.in_other_applications", fail)
    assert api.send(texture(1)).status_code == 503
    assert len(api.screener._linkage) == 0
