"""Which pages the person at the browser has: none before the sign-in, none with judgments on a desk read blind."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from anogan.config import LOOPBACK
from anogan.dashboard import desk, sign_in, widgets
from anogan.dashboard.pages import PAGES, Listed
from anogan.review import Desk

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

_BLIND = "This desk is read blind first, so pages that show scores are not for its readers."
_ROLE = "This page is not for your role on the desk."


def permitted(pages: Mapping[str, StreamlitPage]) -> dict[str, StreamlitPage]:
    """Return the pages that this person has, or show why there is none and end the run."""
    if sign_in.required():
        return _of_reader(pages, _member(pages))
    if st.get_option("server.address") not in LOOPBACK:
        _nothing(pages)
        widgets.problem(
            "This dashboard listens to the network though nobody signs in, so it shows nothing.",
            "Start it on 127.0.0.1, or with `anogan dashboard RUN --desk DATABASE --sign-in SETTINGS`.",
        )
        st.stop()
    if not desk.database():
        return dict(pages)
    try:
        return _of_reader(pages, desk.opened())
    except ValueError:  # the pages of the desk say what is wrong with it
        return {name: page for name, page in pages.items() if not PAGES[name].judgments and PAGES[name].right is None}


def navigate(pages: Mapping[str, StreamlitPage], allowed: Mapping[str, StreamlitPage]) -> StreamlitPage:
    """Show the menu of the allowed pages and return the one that the address names.

    The root leads to the first of them. The address of another page leads to a sentence: its function is not even known
    to `st.navigation`.
    """
    first = next(iter(allowed.values()))
    home = st.Page(functools.partial(st.switch_page, first), title="anogan", default=True, visibility="hidden")
    refused = [
        st.Page(
            functools.partial(_refuse, _BLIND if PAGES[name].judgments else _ROLE),
            title=page.title,
            url_path=page.url_path,
            visibility="hidden",
        )
        for name, page in pages.items()
        if name not in allowed
    ]
    menu = {"": [home], **{listed.section: [] for listed in PAGES.values() if listed.section}}
    for name, page in allowed.items():
        menu[PAGES[name].section].append(page)
    menu[""] += refused
    menu = {section: here for section, here in menu.items() if here}
    return st.navigation(menu, position="top")


def account() -> None:
    """Show who has signed in, if anybody must."""
    if not sign_in.required():
        return
    try:
        reader = desk.opened().reader
    except ValueError:  # the sign-in has ended this very moment
        st.rerun()
    sign_in.account(reader.user, reader.role)


def _member(pages: Mapping[str, StreamlitPage]) -> Desk:
    """Return the desk on behalf of the member who has signed in, or show the way in and end the run."""
    try:
        name = sign_in.user()
    except ValueError as error:
        _nothing(pages)
        sign_in.page(str(error))
        st.session_state.clear()  # it may hold the pictures of a case; not before the click on the page was read
        st.stop()
    try:
        here = desk.opened()
        if not here.reader.role:
            raise ValueError(f"{name}: has signed in but is no member of this desk; ask its admin.")
    except ValueError as error:
        _nothing(pages)
        sign_in.stranger(str(error))
        st.stop()
    return here


def _of_reader(pages: Mapping[str, StreamlitPage], here: Desk) -> dict[str, StreamlitPage]:
    """Leave out what the role does not need and what a blind reader must not see."""
    reader = here.reader
    sees = desk.may_see_judgments(here)

    def may(listed: Listed) -> bool:
        return (listed.right is None or reader.may(listed.right)) and (sees or not listed.judgments)

    return {name: page for name, page in pages.items() if may(PAGES[name])}


def _refuse(words: str) -> None:
    st.info(words, icon=":material/lock:")


def _nothing(pages: Mapping[str, StreamlitPage]) -> None:
    """Keep every address valid, and show no page."""
    st.navigation([st.Page(_silent, title="anogan", default=True), *pages.values()], position="hidden")


def _silent() -> None:
    pass
