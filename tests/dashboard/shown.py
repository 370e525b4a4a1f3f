"""What a page gives to the parts that AppTest does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from streamlit.testing.v1 import AppTest


def viewer(app: AppTest) -> dict[str, Any]:
    """Return what the viewer of the case's pictures was given to show; {} where there is none."""
    found = app.get("bidi_component")
    return dict(json.loads(found[0].proto.json)) if found else {}


def desk_pages() -> None:
    """Run the two pages of the desk, between which a click leads."""
    import streamlit as st

    from anogan.dashboard import desk_case, desk_queue, widgets

    both = {
        "desk": st.Page(desk_queue.page, title="Desk", url_path="desk", default=True),
        "desk case": st.Page(desk_case.page, title="Desk case", url_path="desk-case"),
    }
    page = st.navigation(list(both.values()))
    widgets.frame(both)
    page.run()


def start(page: Callable[[], None], reader: str) -> AppTest:
    """Open a page as who is named in the field of the reader."""
    app = AppTest.from_function(page, default_timeout=600)
    app.session_state["desk_reader"] = reader
    app.run()
    assert not app.exception
    return app
