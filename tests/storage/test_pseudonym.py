"""Pseudonyms: RFC numbers, one key for all processes, and none that can be guessed."""

import hashlib
import hmac
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anogan.storage import pseudonym
from anogan.storage.pseudonym import key_file, key_name, keyed_hash, person_hash

KEY = "0123456789abcdef of a hospital"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_it_is_hmac_sha256(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", KEY)
    expected = hmac.new(KEY.encode(), b'["subject", "", "ID-7"]', hashlib.sha256).hexdigest()
    assert keyed_hash("subject", "", "ID-7") == expected
    assert pseudonym.pseudonym({"PatientID": " ID-7 "}) == expected[:12]


def test_what_is_not_the_same_has_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", KEY)
    told = {
        keyed_hash("a", "b", "c"), keyed_hash("a", "bc"), keyed_hash("a", "b\nc"), keyed_hash("a", 'b", "c'),
        keyed_hash("b", "b", "c"), keyed_hash("a"), key_name(), person_hash("b"),
    }  # fmt: skip
    persons = [{"PatientID": "1"}, {"PatientID": "1", "IssuerOfPatientID": "x"}, {"StudyInstanceUID": "1"}]
    told |= {pseudonym.pseudonym(person) for person in persons}
    assert len(told) == 11
    assert pseudonym.pseudonym({"PatientID": "  "}) == ""
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", KEY.upper())
    assert keyed_hash("a", "b", "c") not in told


def test_without_a_key_one_is_made_once_for_this_user_alone(home: Path) -> None:
    told = person_hash("x")
    assert key_file() == home / "anogan" / "pseudonym.key"
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert len(bytes.fromhex(key_file().read_text().strip())) == 32
    assert [path.name for path in key_file().parent.iterdir()] == ["pseudonym.key"]
    pseudonym._kept.cache_clear()
    assert person_hash("x") == told


def test_another_machine_takes_the_contents_of_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = person_hash("x")
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", key_file().read_text())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "other"))
    assert person_hash("x") == told
    assert not (home / "other").exists()


def test_processes_that_start_at_once_get_one_key(home: Path) -> None:
    program = "import sys; sys.stdin.read(); from anogan.storage.pseudonym import person_hash; print(person_hash('x'))"
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    told = {process.communicate()[0] for process in started}
    assert told == {person_hash("x") + "\n"}


def test_a_key_that_another_process_made_first_stays(home: Path) -> None:
    pseudonym._make(key_file())
    first = key_file().read_text()
    pseudonym._make(key_file())
    assert key_file().read_text() == first


def test_bad_keys_are_refused_in_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = key_file()
    path.parent.mkdir()
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(ValueError, match=rf"^{path}: the key of pseudonyms is damaged; restore it, or remove it"):
        person_hash("x")
    path.chmod(0o644)
    with pytest.raises(ValueError, match=rf"^{path}: can be read by others \(644\).*chmod 600 {path}$"):
        person_hash("x")
    monkeypatch.setenv("ANOGAN_PSEUDONYM_KEY", "1234")
    with pytest.raises(ValueError, match=r"^\$ANOGAN_PSEUDONYM_KEY: has 4 characters, at least 16 are needed"):
        person_hash("x")


def test_where_no_key_can_be_kept_the_sentence_names_the_variable(home: Path) -> None:
    (home / "anogan").write_text("a file in its place")
    with pytest.raises(ValueError, match=r"cannot be used as the key .*; set \$ANOGAN_PSEUDONYM_KEY instead$"):
        person_hash("x")


def test_the_tests_leave_the_home_folder_alone(own_configuration: Path) -> None:
    assert key_file().is_relative_to(own_configuration)
    assert "ANOGAN_PSEUDONYM_KEY" not in os.environ
