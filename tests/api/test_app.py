"""Every status of the API, and what its answers say."""

import asyncio
import io
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from anogan.api.app import Settings
from anogan.detector.calibration import Calibration
from anogan.results.reading import read_results

from .conftest import MeanDetector, figures, photo


@pytest.fixture
def api(serve: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return serve()


def problem(response: Any, status: int) -> str:
    """Check the form of a problem (RFC 9457) and return its sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return str(body["detail"])


# What is found


def test_a_photo_passes(api: SimpleNamespace) -> None:
    response = api.send(photo(100), reference="application 7")  # 100 / 255 = 0.392
    assert response.status_code == 201
    body = response.json()
    assert body["score"] == pytest.approx(100 / 255)
    assert body["p_value"] == pytest.approx(13 / 20)  # 0.40 to 0.95 are 12 of 19
    assert (body["status"], body["decision"], body["reference"]) == ("scored", "pass", "application 7")
    assert body["reasons"] == ["the score 0.392 is below 0.95", "65 % of healthy photos are expected to score as high"]
    assert response.headers["location"] == f"/v1/screenings/{body['id']}"
    assert api.client.get(response.headers["location"]).json() == body
    assert api.desk.cases == {}
    assert {path.name for path in (api.store / "cases" / body["id"]).iterdir()} == {"heatmap.png", "thumbnail.png"}


def test_a_flagged_photo_is_on_the_desk_at_once(api: SimpleNamespace) -> None:
    body = api.send(photo(255), reference="application 8").json()
    assert body["decision"] == "review"
    assert body["reasons"] == [
        "the score 1 reaches 0.95",
        "5 % of healthy photos are expected to score as high",
        "most unusual: how unlike a healthy image it looks to the discriminator",
    ]
    (case,) = api.desk.cases.values()
    assert (case.key, case.kind, case.flagged, case.score) == (f"screening {body['id']}", "screening", True, 1.0)
    assert re.fullmatch("[0-9a-f]{12}", case.subject)  # the client's reference is not the desk's business
    folder = api.store / "cases" / body["id"]
    assert case.folder == str(folder)
    assert {path.name for path in folder.iterdir()} == {"heatmap.png", "thumbnail.png", "maps.npz", "results.json"}


def test_each_group_has_its_own_operating_point(serve: Callable[..., SimpleNamespace]) -> None:
    scores = np.arange(1, 20) / 20
    sites = ["studio"] * 19 + ["booth"] * 19
    calibration = Calibration.fit(np.concatenate([scores / 2, scores]), 0.05, groups=sites, column="site")
    api = serve(MeanDetector(calibration=calibration))
    studio, booth = (api.send(photo(153), group=site).json() for site in ("studio", "booth"))  # 153 / 255 = 0.6
    assert (studio["decision"], studio["group"], studio["p_value"]) == ("review", "studio", pytest.approx(1 / 20))
    assert studio["reasons"][0] == "the score 0.6 reaches 0.475"
    assert read_results(api.store / "cases" / studio["id"])["cases"][0]["group"] == "studio"  # whose threshold it is
    assert booth["reasons"][0] == "the score 0.6 is below 0.95"
    assert (booth["decision"], booth["group"], booth["p_value"]) == ("pass", "booth", pytest.approx(9 / 20))
    assert api.client.get(f"/v1/screenings/{booth['id']}").json() == booth
    known = "calibrated were booth, studio"
    unknown, none = api.send(group="kiosk").json(), api.send().json()
    assert (unknown["decision"], unknown["p_value"]) == (none["decision"], none["p_value"]) == ("not decided", None)
    assert unknown["reasons"] == [f"not calibrated: site kiosk is unknown; {known}; calibrate on healthy images of it"]
    assert (none["reasons"], none["group"]) == ([f"not calibrated: the image names no site; {known}"], None)
    assert len(api.desk.cases) == 3
    first = api.send(group="studio", idempotency="k")
    assert first.status_code == 201
    assert problem(api.send(group="booth", idempotency="k"), 409).startswith("this idempotency key came with another")


def test_what_cannot_be_judged_is_not_scored(api: SimpleNamespace) -> None:
    body = api.send(photo(0, side=3)).json()
    assert (body["status"], body["decision"]) == ("not scored", "not scored")
    assert body["reasons"] == ["no face was found"]
    assert (body["score"], body["p_value"], body["heat_map"], body["reference"]) == (None, None, None, None)
    assert len(api.desk.cases) == 1
    detail = problem(api.client.get(f"/v1/screenings/{body['id']}/heatmap"), 404)
    assert detail == "the photo was not scored, so there is no heat map"


def test_without_a_calibration_nothing_passes(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve(MeanDetector(calibration=None))
    body = api.send().json()
    assert (body["decision"], body["p_value"]) == ("not decided", None)
    assert body["reasons"] == ["the detector is not calibrated, so its scores decide nothing"]
    assert len(api.desk.cases) == 1


def test_while_the_calibration_has_drifted_nothing_is_decided(
    api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.send().json()["decision"] == "pass"
    monkeypatch.setattr("anogan.assurance.drift.alarm_of", lambda *_: True)
    (api.store.parent / "drift.json").write_text("{}")
    body = api.send().json()
    assert (body["decision"], body["reasons"]) == (
        "not decided",
        ["the calibration no longer holds, see `anogan drift`"],
    )
    (case,) = api.desk.cases.values()
    assert case.flagged is None


def test_a_damaged_drift_monitor_decides_nothing(api: SimpleNamespace) -> None:
    (api.store.parent / "detector.json").write_text("{}")
    (api.store.parent / "drift.json").write_text("{")
    assert api.send().json()["decision"] == "not decided"


def test_the_heat_map(api: SimpleNamespace) -> None:
    body = api.send(photo(255, kind="JPEG")).json()
    response = api.client.get(body["heat_map"])
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(response.content)).size == (8, 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_formats(api: SimpleNamespace, kind: str) -> None:
    assert api.send(photo(51, kind=kind)).json()["score"] == pytest.approx(0.2)


def test_nothing_of_the_file_is_kept_but_its_pixels(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve(MeanDetector(calibration=None))
    secret = "52.5200 N, Erika Mustermann"
    exif = Image.Exif()
    exif[Base.ImageDescription.value] = secret
    exif[Base.Orientation.value] = 6  # the first row of the file is the right side of the photo
    buffer = io.BytesIO()
    half = np.array([[255] * 16] * 8 + [[0] * 16] * 8, np.uint8)
    Image.fromarray(half).save(buffer, "JPEG", exif=exif, quality=95)
    assert secret.encode() in buffer.getvalue()
    body = api.send(buffer.getvalue()).json()
    for path in api.store.parent.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    with np.load(api.store / "cases" / body["id"] / "maps.npz") as maps:
        assert maps["image"][:, -1].min() > 250
        assert maps["image"][:, 0].max() < 5


def test_the_clients_reference_is_in_no_path_and_no_log(api: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    assert api.send(photo(255), reference="Erika-Mustermann").status_code == 201
    assert not [path for path in api.store.parent.rglob("*") if "Mustermann" in path.name]
    assert "Mustermann" not in caplog.text
    assert "Mustermann" not in str(api.desk.cases)


# What is refused


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer anogan_00000000_x", "Basic YTpi", "Bearer ä"])
def test_401(api: SimpleNamespace, authorization: str) -> None:
    for method, path in (("POST", "/v1/screenings"), ("GET", f"/v1/screenings/{'0' * 16}"), ("GET", "/metrics")):
        response = api.client.request(method, path, headers={b"Authorization": authorization.encode()})
        assert problem(response, 401).startswith("send a valid API key")
        assert response.headers["www-authenticate"] == "Bearer"


def test_403(api: SimpleNamespace) -> None:
    key = api.keys.create("reader", ["read"])
    response = api.send(Authorization=f"Bearer {key}")
    assert problem(response, 403) == "this key may read; the request needs the scope screen"


def test_404(api: SimpleNamespace) -> None:
    assert problem(api.client.get(f"/v1/screenings/{'0' * 16}"), 404) == "there is no such screening"
    assert problem(api.client.get("/v2"), 404) == "there is nothing at this address; see /docs"


def test_405(api: SimpleNamespace) -> None:
    response = api.client.delete("/v1/screenings")
    assert problem(response, 405) == "this address has no such method"
    assert response.headers["allow"] == "POST"
    response = api.client.put(f"/v1/screenings/{'0' * 16}")
    assert problem(response, 405) == "this address has no such method"
    assert response.headers["allow"] == "DELETE, GET"


def test_the_same_idempotency_key_gives_the_same_screening(api: SimpleNamespace) -> None:
    first = api.send(photo(9), reference="a", idempotency="k1")
    again = api.send(photo(9), reference="a", idempotency="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(list((api.store / "cases").iterdir())) == 1
    assert api.detector.batches == [1]
    assert api.send(photo(9), reference="a", idempotency="k2").json()["id"] != first.json()["id"]
    for other in (api.send(photo(9), "b", "k1"), api.send(photo(8), "a", "k1"), api.send(photo(9), None, "k1")):
        assert problem(other, 409) == "this idempotency key came with another photo, reference or group; use a new one"


def test_idempotency_keys_are_those_of_one_client(api: SimpleNamespace) -> None:
    other = {"Authorization": f"Bearer {api.keys.create('another')}"}
    assert api.send(photo(9), None, "k").json()["id"] != api.send(photo(8), None, "k", **other).json()["id"]


def test_409(api: SimpleNamespace) -> None:
    api.screener._busy.add(("tests", "k"))
    response = api.send(idempotency="k")
    assert problem(response, 409) == "a request with this idempotency key is being worked on; ask again"
    assert response.headers["retry-after"] == "1"


def test_413_by_the_length_that_is_announced(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve(settings=Settings(hosts=("testserver",), most_bytes=1000))
    assert api.send().status_code == 201
    assert problem(api.send(bytes(2000)), 413) == "the request is longer than 0.001 MB; send a smaller photo"


def test_413_by_the_length_that_comes(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve(settings=Settings(hosts=("testserver",), most_bytes=1000))
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = api.client.post("/v1/screenings", content=iter([start, bytes(2000)]), headers=headers)
    assert problem(response, 413) == "the request is longer than 0.001 MB; send a smaller photo"


def test_413_by_pixels_before_they_are_decoded(api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    data, fits = photo(0, side=11), photo(0, side=10)
    api.screener.room.most = 100
    assert api.send(fits).status_code == 201
    monkeypatch.setattr(Image.Image, "load", None)
    assert problem(api.send(data), 413) == (
        "the photo has 11 x 11 pixels, more than the 0.0001 million that are judged here; send a smaller one"
    )


def test_a_client_that_leaves_is_no_fault_of_the_server(api: SimpleNamespace) -> None:
    coming = iter([{"type": "http.request", "body": b"--b\r\n", "more_body": True}, {"type": "http.disconnect"}])
    answers: list[Any] = []

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        answers.append(message)

    headers = {"host": "testserver", "content-type": "multipart/form-data; boundary=b"}
    headers["authorization"] = api.client.headers["Authorization"]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/screenings", "raw_path": b"/v1/screenings", "root_path": "",
        "query_string": b"", "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "server": None,
        "client": None, "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    api.client.portal.call(api.app, scope, receive, send)
    assert answers[0]["status"] == 400
    assert api.screener.find("0" * 16) is None
    assert list((api.store / "incoming").iterdir()) == []


@pytest.mark.parametrize("data", [b"GIF89a", b"<svg/>", b"%PDF-1.7", b"hello"])
def test_415_by_content(api: SimpleNamespace, data: bytes) -> None:
    assert problem(api.send(data), 415) == "the photo is no PNG, JPEG or TIFF by its content; send one of these"


def test_415_by_the_form(api: SimpleNamespace) -> None:
    assert problem(api.client.post("/v1/screenings", json={}), 415).startswith("send the photo as multipart/form-data")


def test_a_damaged_photo_is_422(api: SimpleNamespace) -> None:
    whole = photo(7, side=64, kind="JPEG")
    assert problem(api.send(whole[: len(whole) // 2]), 422) == (
        "photo: is damaged, cut off, or a kind of JPEG that is not read; copy it again or save it as PNG"
    )
    assert problem(api.send(b"\x89PNG\r\n\x1a\n" + bytes(50)), 422).startswith("photo: is damaged or cut off")


@pytest.mark.parametrize(
    ("files", "fields", "sentence"),
    [
        ({"x": ("x", photo())}, {}, "send the fields image, reference and group, each once, and no others"),
        ({"image": ("x", b"")}, {}, "image: is empty; send a photo"),
        (
            {"image": ("x", photo())},
            {"name": "x"},
            "send the fields image, reference and group, each once, and no others",
        ),
        ({"image": ("x", photo())}, {"reference": ""}, "reference: expected 1 to 128 printable ASCII characters"),
        ({"image": ("x", photo())}, {"reference": "a\nb"}, "reference: expected 1 to 128 printable ASCII characters"),
        (
            {"image": ("x", photo())},
            {"reference": "a" * 129},
            "reference: expected 1 to 128 printable ASCII characters",
        ),
        ({"image": ("x", photo())}, {"group": "ä"}, "group: expected 1 to 128 printable ASCII characters"),
        (
            {"image": ("x", photo())},
            {"group": ["a", "b"]},
            "send the fields image, reference and group, each once, and no others",
        ),
    ],
)
def test_422(api: SimpleNamespace, files: Any, fields: dict[str, str], sentence: str) -> None:
    response = api.client.post("/v1/screenings", files=files, data=fields)
    assert problem(response, 422) == sentence


def test_a_photo_that_is_no_file_is_422(api: SimpleNamespace) -> None:
    content = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = api.client.post("/v1/screenings", content=content, headers=headers)
    assert problem(response, 422) == "image: is missing; send the photo as a file in a field named image"


def test_422_of_a_header_and_a_path(api: SimpleNamespace) -> None:
    assert problem(api.send(idempotency="a" * 129), 422).startswith("Idempotency-Key: ")
    assert problem(api.client.get("/v1/screenings/nothing"), 422).startswith("number: ")


def test_400(api: SimpleNamespace) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    response = api.client.post("/v1/screenings", content=b"x", headers=headers)
    assert problem(response, 400).startswith("the request cannot be read")
    refused = problem(api.client.get("/healthz", headers={"Host": "evil.example"}), 400)
    assert refused == "this server does not go by that name; its owner may add it with --allow-host"


def test_408(serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr("anogan.api.app._form", slow)
    api = serve(settings=Settings(hosts=("testserver",), body_seconds=0.01))
    assert problem(api.send(), 408) == "the photo came too slowly; send it again"


def test_429(api: SimpleNamespace) -> None:
    key = {"Authorization": f"Bearer {api.keys.create('slow', rate='2/hour')}"}
    path = f"/v1/screenings/{'0' * 16}"
    assert [api.client.get(path, headers=key).status_code for _ in range(2)] == [404, 404]
    response = api.client.get(path, headers=key)
    assert problem(response, 429).startswith("this key may ask 2/hour; ask again in 3")
    assert 3590 <= int(response.headers["retry-after"]) <= 3600
    assert api.client.get(path).status_code == 404  # another key is not slowed down


def test_500_says_nothing_of_the_photo(api: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    def fail(scans: Any, batch: int) -> Any:
        raise RuntimeError("Erika Mustermann")

    api.detector.inspect_many = fail
    detail = problem(api.send(reference="x"), 500)
    assert detail == "the server failed at this request; nothing was accepted: send it again later"
    assert "Mustermann" not in "".join(record.getMessage() for record in caplog.records if "anogan" in record.name)


def test_503_when_all_places_are_taken(serve: Callable[..., SimpleNamespace]) -> None:
    api = serve(settings=Settings(hosts=("testserver",), places=0))
    response = api.send()
    assert problem(response, 503) == "too many photos at once; send it again in a moment"
    assert response.headers["retry-after"] == "1"


def test_503_when_nothing_can_be_kept(api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise ValueError("heatmap.png: cannot be written (No space left on device)")

    monkeypatch.setattr("anogan.api.screening.write_heat_map", full)
    response = api.send()
    assert problem(response, 503) == "screenings cannot be kept at the moment; send it again later"
    assert list((api.store / "incoming").iterdir()) == []


# What stands around it


def test_health_needs_no_key(api: SimpleNamespace) -> None:
    for path in ("/healthz", "/readyz"):
        response = api.client.get(path, headers={"Authorization": ""})
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
    api.screener.ready = lambda: False
    assert problem(api.client.get("/readyz"), 503) == "photos cannot be screened at the moment"


def test_metrics(api: SimpleNamespace) -> None:
    api.send()
    api.send(photo(255))
    api.client.get("/nowhere/Mustermann")
    text = figures(api)
    assert 'anogan_screenings_total{decision="pass"} 1.0' in text
    assert 'anogan_screenings_total{decision="review"} 1.0' in text
    assert 'anogan_requests_total{method="POST",route="/v1/screenings",status="201"} 2.0' in text
    assert "anogan_batch_images_count 2.0" in text
    assert "anogan_requests_inside 0.0" in text
    assert "Mustermann" not in text


def test_headers(api: SimpleNamespace) -> None:
    for response in (api.client.get("/healthz", headers={"Origin": "https://evil.example"}), api.send(b"x")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in response.headers


def test_the_page_brings_what_it_shows(api: SimpleNamespace) -> None:
    page = api.client.get("/docs").text
    assert "https://" not in page
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert api.client.get(path).status_code == 200
