"""`pacs.toml`: what it says, and what it is refused for."""

from __future__ import annotations

from pathlib import Path

import pytest

from anogan.pacs.settings import load_settings

FULL = """
ae_title = "ANOGAN"
port = 11113
quiet = 30
results = "pacs"

[[peers]]
ae_title = "SCANNER"
hosts = ["10.0.0.5"]

[nodes.pacs]
ae_title = "ORTHANC"
host = "10.0.0.2"
port = 4242

[nodes.web]
url = "https://10.0.0.2/dicom-web"

[retry]
first = 2
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "pacs.toml"
    path.write_text(text)
    return path


def test_defaults_are_safe(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""))
    assert settings.host == "127.0.0.1"
    assert settings.peers == ()
    assert settings.results == ""


def test_all_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL))
    assert (settings.port, settings.quiet, settings.retry.first, settings.retry.longest) == (11113, 30, 2, 600)
    assert settings.peers[0].hosts == ("10.0.0.5",)
    assert settings.node("web").url == "https://10.0.0.2/dicom-web"
    with pytest.raises(ValueError, match="node other: unknown; the settings know pacs, web"):
        settings.node("other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quite = 5", "quite: Extra inputs are not permitted"),
        ("quiet = 0", "quiet: Input should be greater than 0"),
        ('ae_title = "LONGER THAN SIXTEEN"', "ae_title: String should have at most 16 characters"),
        ('ae_title = "BACK\\\\SLASH"', "ae_title: String should match pattern"),
        ('results = "pacs"', "results names the node pacs, which is not among the nodes"),
        ('[nodes.a]\nae_title = "A"', "nodes.a: expected either url, or ae_title and port"),
        ('[nodes.a]\nae_title = "A"\nport = 1\nurl = "http://h/d"', "nodes.a: expected either url, or ae_title"),
        ('[nodes.a]\nurl = "ftp://h/d"', "nodes.a.url: expected http://host/... or https://host/..."),
        ('[nodes.a]\nurl = "http://me:word@h/d"', "nodes.a.url: must not hold a name or password"),
        ('[nodes.a]\nae_title = "A"\nport = 1\ntls = true', "a node wants TLS, and there is no [tls]"),
        ('[tls]\ncertificate = "a"\nkey = "b"\nauthorities = "c"', "tls.certificate: there is no file"),
        ("quiet =", "not valid TOML"),
    ],
)
def test_faults_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pacs.toml: there is no such file"):
        load_settings(tmp_path / "pacs.toml")
