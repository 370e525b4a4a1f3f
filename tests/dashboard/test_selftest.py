"""The banner of a run whose self-test failed."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from anogan.assurance.selftest.verdict import fingerprint


def errors(page: str) -> list[str]:
    app = AppTest.from_string(f"from anogan.dashboard import {page}\n{page}.page()\n", default_timeout=600).run()
    assert not app.exception
    return [element.value for element in app.error]


@pytest.mark.parametrize("page", ["worklist", "case", "evaluation", "upload", "model_card"])
def test_a_failed_self_test_stands_above_what_the_page_shows(page: str, run: Path) -> None:
    assert errors(page) == []
    found = {"passed": False, "reasons": ["3 of 20 were found"], "detector": fingerprint(run)}
    (run / "selftest.json").write_text(json.dumps(found), encoding="utf-8")
    (words,) = errors(page)
    assert words.replace("\\", "") == "This detector failed its self-test: 3 of 20 were found."
