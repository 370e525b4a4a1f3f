"""Settings of the sign-in: what is accepted, and the sentence for each that is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import tomli_w

from anogan.review import open_desk
from anogan.review.openid import read_settings

GOOD = {
    "redirect_uri": "https://desk.example.org/oauth2callback",
    "cookie_secret": "0123456789abcdef" * 2,
    "client_id": "anogan",
    "client_secret": "s",
    "server_metadata_url": "https://login.example.org/.well-known/openid-configuration",
}
KEYS = "redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url"


def write(path: Path, **changes: object) -> Path:
    auth = {key: value for key, value in (GOOD | changes).items() if value is not None}
    path.write_text(tomli_w.dumps({"auth": auth}), encoding="utf-8")
    return path


def test_the_address_is_where_the_provider_sends_people_back(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path / "s.toml")) == "https://desk.example.org"
    local = write(tmp_path / "s.toml", redirect_uri="http://127.0.0.1:8501/oauth2callback")
    assert read_settings(local) == "http://127.0.0.1:8501"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client_id": None}, f"[auth] has no client_id; give it {KEYS}"),
        ({"client_secret": 3}, f"[auth] has no client_secret; give it {KEYS}"),
        (
            {"cookie_secret": "x" * 31},
            "cookie_secret is too short, so that a sign-in could be forged; give 32 random characters or more",
        ),
        (
            {"redirect_uri": "http://desk.example.org/oauth2callback"},
            "redirect_uri is http://desk.example.org/oauth2callback; expected https://, or http:// on this machine",
        ),
        (
            {"server_metadata_url": "http://login.example.org/x"},
            "server_metadata_url is http://login.example.org/x; expected https://, or http:// on this machine",
        ),
        (
            {"redirect_uri": "https://desk.example.org/"},
            "redirect_uri is https://desk.example.org/; expected it to end in /oauth2callback",
        ),
    ],
)
def test_each_fault_is_a_sentence(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    path = write(tmp_path / "s.toml", **changes)
    with pytest.raises(ValueError) as caught:
        read_settings(path)
    assert str(caught.value) == f"{path}: {sentence}"


def test_a_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    with pytest.raises(ValueError, match=r"s.toml: cannot be read \(No such file"):
        read_settings(path)
    path.write_text("[auth")
    with pytest.raises(ValueError, match=r"s.toml: is no TOML \("):
        read_settings(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"s.toml: is no TOML \("):
        read_settings(path)
    path.write_text("auth = 1")
    with pytest.raises(ValueError, match=r"s.toml: has no section \[auth\]; give it redirect_uri"):
        read_settings(path)


def test_the_command_refuses_what_would_let_strangers_in(anogan, empty_run: Path, tmp_path: Path) -> None:
    (empty_run / "profile.toml").touch()
    settings, desk = write(tmp_path / "s.toml"), str(tmp_path / "desk.db")

    def said(*options: object) -> str:
        done = anogan("dashboard", empty_run, *options)
        assert done.code == 1
        return done.err.strip()

    assert said("--host", "0.0.0.0") == (
        "anogan: --host 0.0.0.0: the whole network could look at the images; give --sign-in, too"
    )
    assert said("--sign-in", settings) == "anogan: --sign-in: needs --desk, whose members may come in"
    assert said("--sign-in", tmp_path / "none.toml", "--desk", desk).startswith(f"anogan: {tmp_path}/none.toml: cannot")
    assert said("--sign-in", settings, "--desk", desk) == (
        "anogan: --sign-in: nobody is a member of the desk yet; begin with `anogan desk member DATABASE NAME admin`"
    )
    opened = open_desk(desk)
    opened.set_role("ida", "admin")
    opened.close()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert said("--sign-in", settings, "--desk", desk, "--port", taken) == (
            f"anogan: port {taken}: is taken; name the one that redirect_uri leads to with --port, or free it"
        )
