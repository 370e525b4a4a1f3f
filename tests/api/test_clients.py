"""What a client has sent is that client's: other clients' keys do not read, see, erase or link to it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from anogan.api.erasing import person_of, subject_of
from anogan.api.tables import KeyRow

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


def test_one_reference_of_two_clients_is_two_people_on_the_desk(api: SimpleNamespace) -> None:
    for client, seed in (("bank", 1), ("shop", 2)):
        assert api.send(texture(seed, side=3), reference="7", **as_(api, client)).json()["decision"] == "not scored"
    subjects = {case.subject for case in api.desk.cases.values()}
    assert subjects == {subject_of("7", "bank"), subject_of("7", "shop")}
    assert len(subjects | {subject_of("7")}) == 3


def test_a_person_is_erased_for_its_client_alone(api: SimpleNamespace) -> None:
    bank, shop = as_(api, "bank"), as_(api, "shop")
    first, other = (api.send(texture(seed), reference="7", **who).json()["id"] for seed, who in ((1, bank), (2, shop)))
    eraser = api.screener._eraser
    for ambiguous in ({"subject": subject_of("7")}, {"reference": "7"}):
        with pytest.raises(ValueError, match="is of several clients: bank, shop; name one with --client"):
            eraser.erase_subject(**ambiguous)
    assert eraser.erase_subject(subject_of("7"), client="nobody") == (0, [])
    assert eraser.erase_subject(subject_of("7"), client="bank") == (1, [])
    assert api.client.get(f"/v1/screenings/{first}", headers=bank).status_code == 404
    assert api.client.get(f"/v1/screenings/{other}", headers=shop).status_code == 200
    assert eraser.erase_subject(subject=subject_of("7", "shop")) == (1, [])
    assert api.client.get(f"/v1/screenings/{other}", headers=shop).status_code == 404


def test_the_pseudonym_of_before_clients_were_told_apart_still_finds_its_person(api: SimpleNamespace) -> None:
    api.send(texture(1), reference="7", **as_(api, "bank"))
    assert api.screener._eraser.erase_subject(subject=subject_of("7")) == (1, [])


def test_the_monitor_forgets_the_person_of_one_client(api: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    counted: list[str] = []
    monkeypatch.setattr(api.screener._eraser, "_forget", forgotten.append)
    monkeypatch.setattr(api.screener._watch, "count", lambda case, folder: counted.append(case.person))
    bank, shop = as_(api, "bank"), as_(api, "shop")
    ids = [
        api.send(texture(seed), reference="7", **who).json()["id"] for seed, who in ((1, bank), (2, shop), (3, shop))
    ]
    assert counted == [person_of("7", "bank"), person_of("7", "shop"), person_of("7", "shop")]
    api.client.delete(f"/v1/screenings/{ids[1]}", headers=shop)
    assert forgotten == []  # the shop has another one of this person
    api.client.delete(f"/v1/screenings/{ids[2]}", headers=shop)
    assert forgotten == [person_of("7", "shop")]
    api.client.delete(f"/v1/screenings/{ids[0]}", headers=bank)
    # With the last of all, also as the monitor knew it before clients were told apart.
    assert forgotten == [person_of("7", "shop"), person_of("7", "bank"), "7"]


def test_a_request_repeated_with_another_key_of_its_client_is_the_same_request(api: SimpleNamespace) -> None:
    first, second, foreign = as_(api, "bank"), as_(api, "bank"), as_(api, "shop")
    sent = api.send(texture(1), idempotency="x", **first)
    again = api.send(texture(1), idempotency="x", **second)
    assert again.json() == sent.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.send(texture(1), idempotency="x", **foreign).json()["id"] != sent.json()["id"]
    assert api.send(texture(2), idempotency="x", **second).status_code == 409


def test_two_keys_that_became_one_client_s_each_have_the_answer_to_their_request(api: SimpleNamespace) -> None:
    """Idempotency keys were each key's own before, so one may stand twice with what is one client's now."""
    from sqlalchemy import update
    from sqlalchemy.orm import Session

    bank, shop = as_(api, "bank"), as_(api, "shop")
    sent = [api.send(texture(seed), idempotency="x", **who).json()["id"] for seed, who in ((1, bank), (2, shop))]
    with Session(api.screener._write) as session:
        session.execute(update(KeyRow).values(name="bank"))
        session.commit()
    for who in (bank, shop):
        again = [api.send(texture(seed), idempotency="x", **who) for seed in (1, 2)]
        assert [answer.json()["id"] for answer in again] == sent
        assert {answer.headers["Idempotency-Replayed"] for answer in again} == {"true"}
        assert api.send(texture(3), idempotency="x", **who).status_code == 409


def test_keys_of_one_client_share_its_rate(api: SimpleNamespace) -> None:
    first, second = ({"Authorization": f"Bearer {api.keys.create('bank', ('read',), '2/minute')}"} for _ in range(2))
    other = {"Authorization": f"Bearer {api.keys.create('shop', ('read',), '2/minute')}"}
    path = f"/v1/screenings/{'0' * 16}"
    answers = [api.client.get(path, headers=who).status_code for who in (first, second, first, other)]
    assert answers == [404, 404, 429, 404]


def test_names_that_were_kept_with_blanks_at_their_ends_are_those_without(api: SimpleNamespace) -> None:
    from sqlalchemy.orm import Session

    from anogan.api.keys import Keys

    bank = as_(api, "bank")
    own = f"/v1/screenings/{api.send(texture(1), **bank).json()['id']}"
    with Session(api.screener._write) as session:
        for row in session.query(KeyRow).all():
            row.name = f" {row.name} "
        session.commit()
    Keys(api.screener._read)  # a new start
    assert api.client.get(own, headers=bank).status_code == 200
    assert api.client.get(own, headers=as_(api, "bank")).status_code == 200


def test_the_role_of_the_desk_may_serve_too(
    serve: Callable[..., SimpleNamespace], request: pytest.FixtureRequest
) -> None:
    from postgres import name_of

    from anogan.api.tables import open_tables
    from anogan.review import database as place
    from anogan.review import open_desk

    postgres = request.getfixturevalue("postgres")
    url = postgres.url()
    name = name_of(url)
    open_desk(url).close()
    open_tables(url).dispose()
    postgres.execute(name, "DROP ROLE IF EXISTS serve_app", "CREATE ROLE serve_app LOGIN")
    engine = place.connect(url)
    place.grant(engine, "serve_app")
    engine.dispose()
    api = serve(database=postgres.as_user("serve_app", name))
    bank = as_(api, "bank")
    number = api.send(texture(1), reference="7", **bank).json()["id"]
    assert api.client.delete(f"/v1/screenings/{number}", headers=bank).status_code == 204


def test_the_totals_of_all_clients_are_for_no_client_alone(api: SimpleNamespace) -> None:
    api.send(texture(1), **as_(api, "bank"))
    refused = api.client.get("/metrics", headers=as_(api, "shop", "metrics"))
    assert refused.status_code == 403
    assert refused.json()["detail"] == "the figures are those of all clients; the request needs the scope admin, too"
    watcher = as_(api, "operations", "metrics", "admin")
    assert "anogan_screenings_total" in api.client.get("/metrics", headers=watcher).text
    assert api.client.get(f"/v1/screenings/{'0' * 16}", headers=watcher).status_code == 403  # it reads nothing else
