"""What a client has sent is that client's: other clients' keys do not read, see, erase or link to it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from .conftest import texture


@pytest.fixture(params=["sqlite", "postgresql"])
def api(serve: Callable[..., SimpleNamespace], tmp_path: Path, request: pytest.FixtureRequest) -> SimpleNamespace:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").url()
    return serve(database=url)


def as_(api: SimpleNamespace, client: str, *scopes: str) -> dict[str, str]:
    key = api.keys.create(client, scopes or ("screen", "read", "erase", "metrics"))
    return {"Authorization": f"Bearer {key}"}


def test_other_clients_neither_read_nor_see_nor_erase_it(api: SimpleNamespace) -> None:
    bank, shop = as_(api, "bank"), as_(api, "shop")
    own = f"/v1/screenings/{api.send(texture(1), **bank).json()['id']}"
    for method, path in (("GET", own), ("GET", f"{own}/heatmap"), ("DELETE", own)):
        foreign = api.client.request(method, path, headers=shop)
        nothing = api.client.request(method, path.replace(own[-16:], "0" * 16), headers=shop)
        assert (foreign.status_code, nothing.status_code) == (404, 404)
        assert foreign.json() == nothing.json()  # not even that it is there
    assert api.client.get(own, headers=bank).status_code == 200
    assert api.client.get(f"{own}/heatmap", headers=bank).headers["content-type"] == "image/png"
    assert api.client.delete(own, headers=bank).status_code == 204


def test_all_keys_of_a_client_reach_what_one_of_them_sent(api: SimpleNamespace) -> None:
    first = as_(api, "bank", "screen")
    own = f"/v1/screenings/{api.send(texture(1), **first).json()['id']}"
    api.keys.revoke(first["Authorization"].split("_")[1])
    assert api.client.get(own, headers=as_(api, " bank ", "read")).status_code == 200
    assert api.client.get(own, headers=as_(api, "Bank", "read")).status_code == 404


def test_an_administrator_does_with_all_what_the_other_scopes_say(api: SimpleNamespace) -> None:
    own = f"/v1/screenings/{api.send(texture(1), **as_(api, 'bank')).json()['id']}"
    reader, eraser = as_(api, "office", "read", "admin"), as_(api, "office", "erase", "admin")
    assert api.client.get(own, headers=reader).status_code == 200
    assert api.client.delete(own, headers=reader).status_code == 403
    assert api.client.get(own, headers=eraser).status_code == 403
    assert api.client.delete(own, headers=eraser).status_code == 204
    assert api.send(texture(1), **as_(api, "office", "admin")).status_code == 403


def test_a_photo_is_linked_to_those_of_its_client_alone(api: SimpleNamespace) -> None:
    bank, shop = as_(api, "bank"), as_(api, "shop")
    first = api.send(texture(1), reference="1", **bank).json()
    other = api.send(texture(1), reference="2", **shop).json()
    assert other["links"] == []
    assert "seen" not in " ".join(other["reasons"])
    again = api.send(texture(1), reference="1", **shop).json()
    assert [link["screening"] for link in again["links"]] == [f"/v1/screenings/{other['id']}"]
    assert (
        again["reasons"][-1] == "this photo was seen in 1 other application"
    )  # and not in the bank's, which is a "1", too
    rotated = api.send(texture(1), reference="3", **as_(api, "bank")).json()
    assert [link["screening"] for link in rotated["links"]] == [f"/v1/screenings/{first['id']}"]
