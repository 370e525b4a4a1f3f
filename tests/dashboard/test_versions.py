"""The page of versions: what it shows, who may promote, one step back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import TEAM
from proposals import propose
from streamlit.testing.v1 import AppTest

from anogan.assurance.feedback import versions
from anogan.detector import Detector
from anogan.review import Desk, open_desk


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run whose detector was kept as version 0."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("profile.toml", "detector.safetensors", "detector.json"):
        shutil.copy(tiny_run / name, folder)
    monkeypatch.setenv("ANOGAN_RUN", str(folder))
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    path = str(tmp_path / "desk.db")
    monkeypatch.setenv("ANOGAN_DESK", path)
    opened = open_desk(path)
    opened.set_role("ida", "admin")
    admin = opened.sign_in("ida")
    for user, role in TEAM.items():
        admin.set_role(user, role)  # type: ignore[arg-type]
    yield admin
    opened.close()


def pages() -> None:
    import streamlit as st

    from anogan.dashboard import desk_versions, widgets

    shown = {"versions": st.Page(desk_versions.page, title="Versions", url_path="versions", default=True)}
    page = st.navigation(list(shown.values()))
    widgets.frame(shown)
    page.run()


def start(reader: str) -> AppTest:
    app = AppTest.from_function(pages, default_timeout=600).run()
    app.text_input(key="desk_reader").set_value(reader).run()
    assert not app.exception
    return app


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button if button.key}


def words(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.subheader, *app.success, *app.warning, *app.error, *app.info]
    return " ".join(element.value for element in shown).replace("\\", "")


def test_an_admin_promotes_and_goes_back(run: Path, desk: Desk, tiny_detector: Detector) -> None:
    propose(run, tiny_detector)
    app = start("ida")
    assert [title.value for title in app.subheader] == ["Version 1", "Version 0"]
    assert "case 7 (3)" in words(app)
    assert "No difference shown" in words(app)
    assert app.table[0].value.iloc[:, 1:].values.tolist() == [
        ["8.0% of 24", "4.0% of 24"],
        ["0.500 (0.400 to 0.600)", "0.550 (0.450 to 0.650)"],
        ["30 of 40", "31 of 40"],
        ["passed", "passed"],
    ]
    app.button(key="promote-1").click().run()
    assert versions.current(run) == 1
    assert "Version 1 works now. Restart" in words(app)
    app.button(key="rollback").click().run()
    assert versions.current(run) == 0
    assert "Version 0 works again." in words(app)
    app.button(key="rollback").click().run()
    assert "no version was promoted in place of another" in words(app)
    assert not app.exception


@pytest.mark.parametrize("user", ["ana", "eva", "uwe"], ids=["reader", "second reader", "auditor"])
def test_who_is_no_admin_looks_on(run: Path, desk: Desk, tiny_detector: Detector, user: str) -> None:
    propose(run, tiny_detector)
    app = start(user)
    assert "case 7 (3)" in words(app)
    assert keys(app) & {"promote-0", "promote-1", "rollback"} == set()
    assert "An admin of the desk promotes versions" in words(app)


def test_a_stranger_sees_no_version(run: Path, desk: Desk, tiny_detector: Detector) -> None:
    propose(run, tiny_detector)
    app = start("eve")
    assert not app.subheader
    assert "eve: is no member of this desk and may not see cases" in words(app)


def test_what_lost_sensitivity_has_no_button(run: Path, desk: Desk, tiny_detector: Detector) -> None:
    propose(run, tiny_detector, against=["It finds fewer of the planted anomalies."])
    app = start("ida")
    assert "promote-1" not in keys(app)
    assert "It finds fewer of the planted anomalies." in words(app)


def test_without_a_proposal_it_says_how_to_make_one(run: Path, desk: Desk) -> None:
    app = start("ida")
    assert app.code[0].value.startswith(f"anogan feedback propose {run.as_posix()}")
