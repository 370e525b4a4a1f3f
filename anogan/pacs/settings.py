"""`pacs.toml`: who we are, who may send to us, where results go."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from anogan.config import Section, first_fault
from anogan.storage.documents import toml_table

# DICOM PS3.5, 6.2: AE is at most 16 characters without control characters and backslash; spaces around do not count.
AETitle = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Peer(Section):
    """Somebody who may send to us."""

    ae_title: AETitle
    hosts: tuple[str, ...] = Field((), description="addresses it may call from; none: any")


class Node(Section):
    """Somebody we may ask or send to: by DIMSE (ae_title, host, port) or DICOMweb (url)."""

    ae_title: AETitle | None = None
    host: str = "127.0.0.1"
    port: Port | None = None
    tls: bool = Field(False, description="DIMSE over TLS, with the files of [tls]")
    url: str = Field("", description="http(s)://host/dicom-web; a password stands in ~/.netrc, never here")
    timeout: float = Field(30.0, gt=0, description="seconds to wait for a connection and for each answer")

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("expected http://host/... or https://host/...")
        if parts.username or parts.password:
            raise ValueError("must not hold a name or password; put them into ~/.netrc")
        return url

    @model_validator(mode="after")
    def _one_way(self) -> Node:
        if bool(self.url) == bool(self.ae_title) or bool(self.ae_title) != bool(self.port):
            raise ValueError("expected either url, or ae_title and port (and host)")
        return self


class Retry(Section):
    """How long to wait for a PACS that is down: twice as long each time, up to `longest`; it is never given up."""

    first: float = Field(5.0, gt=0, description="seconds")
    longest: float = Field(600.0, gt=0, description="seconds")


class Limits(Section):
    """What the listener takes on."""

    object_megabytes: float = Field(2048.0, gt=0, description="largest object")
    store_gigabytes: float = Field(50.0, gt=0, description="objects and results kept; beyond, senders are told so")
    associations: int = Field(16, ge=1, description="senders at once")
    keep_days: float = Field(7.0, gt=0, description="how long a study is kept after it was sent or could not be scored")


class TLS(Section):
    """Files in PEM format; paths count from the folder of the settings (DICOM PS3.15, B.12: BCP 195)."""

    certificate: Path
    key: Path
    authorities: Path = Field(description="whose certificates are believed: peers must show one of theirs")


class Settings(Section):
    """All settings of the PACS connection."""

    ae_title: AETitle = "ANOGAN"
    host: str = Field("127.0.0.1", description="address to listen on; the default is reached from this machine alone")
    port: Port = 11112
    quiet: float = Field(60.0, gt=0, description="a study is complete when no new object came for so many seconds")
    results: str = Field("", description="the node that gets the results; none: they stay in the store")
    peers: tuple[Peer, ...] = ()
    nodes: dict[str, Node] = Field(default_factory=dict)
    retry: Retry = Retry()
    limits: Limits = Limits()
    tls: TLS | None = None

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.results and self.results not in self.nodes:
            raise ValueError(f"results names the node {self.results}, which is not among the nodes")
        if self.tls is None and any(node.tls for node in self.nodes.values()):
            raise ValueError("a node wants TLS, and there is no [tls]")
        return self

    def node(self, name: str) -> Node:
        """Return a node by its name; ValueError if there is none."""
        if name not in self.nodes:
            raise ValueError(f"node {name}: unknown; the settings know {', '.join(sorted(self.nodes)) or 'none'}")
        return self.nodes[name]


def load_settings(path: str | os.PathLike[str]) -> Settings:
    """Read a `pacs.toml`.

    Raises
    ------
    ValueError
        The file is missing, is not TOML, a setting is unknown or out of range, or a file of [tls] is missing.
    """
    path = Path(path)
    try:
        settings = Settings.model_validate(toml_table(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {first_fault(error)}") from None
    if settings.tls is None:
        return settings
    files = {name: path.parent / value for name, value in settings.tls}
    for name, file in files.items():
        if not file.is_file():
            raise ValueError(f"{path}: tls.{name}: there is no file {file}")
    return settings.model_copy(update={"tls": TLS(**files)})
