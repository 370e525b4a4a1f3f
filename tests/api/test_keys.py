"""Keys: kept as hashes, shown once, revoked at once."""

import re
from pathlib import Path

import pytest

from anogan.api.keys import Keys
from anogan.api.tables import open_tables


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(open_tables(str(tmp_path / "desk.db")))


def test_a_key_is_random_and_only_its_hash_is_kept(keys: Keys, tmp_path: Path) -> None:
    key = keys.create("bank", ["read", "screen"], "5/second")
    assert re.fullmatch(r"anogan_[0-9a-f]{8}_[\w-]{43}", key)  # 43 letters of 6 bits: 256 bits
    secret = key.split("_", 2)[2].encode()
    assert not [path for path in tmp_path.iterdir() if secret in path.read_bytes()]
    found = keys.verify(key)
    assert found is not None
    assert (found.name, found.scopes, found.rate, found.revoked) == ("bank", {"read", "screen"}, "5/second", False)


def test_what_opens_nothing(keys: Keys) -> None:
    key = keys.create("bank")
    other = keys.create("shop")
    number = key.split("_")[1]
    swapped = f"anogan_{number}_{other.split('_', 2)[2]}"
    for wrong in (
        "",
        "anogan_",
        number,
        key[:-1],
        key + "x",
        key.upper(),
        swapped,
        "anogan_\udcff_x",
        "anogan_' OR 1_",
    ):
        assert keys.verify(wrong) is None


def test_a_revoked_key_opens_nothing(keys: Keys) -> None:
    key = keys.create("bank")
    keys.revoke(key.split("_")[1])
    assert keys.verify(key) is None
    assert [known.revoked for known in keys.all()] == [True]
    with pytest.raises(ValueError, match=r"^key 00000000: there is none; see `anogan key list`$"):
        keys.revoke("00000000")


def test_a_clock_that_goes_back_makes_nobody_wait_longer(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    known = keys.verify(keys.create("bank", ["read"], "1/minute"))
    assert known is not None
    now = [1e9]
    monkeypatch.setattr("time.time", lambda: now[0])
    assert keys.spend(known) == 0
    assert keys.spend(known) > 0
    now[0] -= 86_400
    assert keys.spend(known) == 0
    assert 0 < keys.spend(known) <= 61
    now[0] += 62
    assert keys.spend(known) == 0


def test_bad_names_scopes_and_rates(keys: Keys) -> None:
    with pytest.raises(ValueError, match=r"^scope root: is unknown; choose among screen, read, erase, metrics, admin$"):
        keys.create("x", ["root"])
    with pytest.raises(ValueError, match=r"^scope: name at least one of screen, read, erase, metrics, admin$"):
        keys.create("x", [])
    with pytest.raises(ValueError, match=r"^rate 'often': cannot be read; expected for example 10/second"):
        keys.create("x", rate="often")
    with pytest.raises(ValueError, match=r"^name: is blank; name the client whose key it is$"):
        keys.create("  ")
    assert keys.all() == []


def test_the_list_says_whose_keys_are_one_client_s(anogan, tmp_path: Path) -> None:
    """Before names were clients, one label could stand on the keys of two."""
    database = tmp_path / "desk.db"
    for name in ("bank", "bank", "shop", "old", "old"):
        made = anogan("key", "create", name, "--database", database)
    anogan("key", "revoke", made.out.split("_")[1], "--database", database)
    said = anogan("key", "list", "--database", database)
    assert said.out.endswith("5 keys\n")
    assert said.err == (
        "note: 2 keys are named bank, so they are of one client and reach the same screenings; if they are of several, "
        "make each a key of its own name and revoke these (what was sent stays with bank)\n"
    )
