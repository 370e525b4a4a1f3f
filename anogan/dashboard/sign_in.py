"""Who is at the browser: on a machine of one's own nobody asks; a team signs in with OpenID Connect (`st.login`)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAuthError

from anogan.dashboard import style, widgets
from anogan.review import openid

LONGEST_WAIT = 86_400
"""Seconds; a browser cannot set its clock for much more than twenty days."""


def required() -> bool:
    """Tell whether this dashboard wants a sign-in. Settings that are gone or broken let nobody in, rather than all."""
    if os.environ.get("ANOGAN_SIGN_IN"):
        return True
    if not any(Path(file).exists() for file in st.get_option("secrets.files")):
        return False
    return not st.secrets.load_if_toml_exists() or "auth" in st.secrets


def user(claims: Mapping[str, Any] | None = None) -> str:
    """Return who has signed in, by the claims of this visit, or by those given.

    Raises
    ------
    ValueError
        Nobody has (with no words), or the sign-in does not hold; see `openid.member`.
    """
    if not st.secrets.load_if_toml_exists():  # without them another claim might name another person
        raise ValueError("The settings of the sign-in cannot be read; ask who runs this dashboard.")
    claims = _claims() if claims is None else claims
    if claims.get("is_logged_in") is not True:
        raise ValueError("")
    claim = st.secrets.get("anogan", {}).get("claim", openid.CLAIM)
    return openid.member(claims, claim, time.time())


def page(reason: str = "") -> None:
    """Show the way in, and why the last one did not lead there."""
    st.html(style.SHEET)
    st.title("anogan", anchor=False)
    if reason:
        widgets.problem(reason)
    st.markdown("Sign in to open the review desk.")
    if st.button("Sign in", type="primary", icon=":material/login:", key="sign-in"):
        try:
            st.login()
        except StreamlitAuthError as error:
            widgets.problem(error)
    st.caption("Decision support, not a diagnosis.")


def stranger(reason: str) -> None:
    """Tell somebody who has signed in why there is nothing to see, and offer to leave."""
    st.html(style.SHEET)
    st.title("anogan", anchor=False)
    widgets.problem(reason)
    _sign_out()


def account(name: str, role: str) -> None:
    """Show who has signed in, with the way out, and leave the page when the sign-in ends though nobody clicks."""
    with st.container(key="account", horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.markdown(f"{widgets.plain(name)} · {role}", width="content")
        _sign_out()
    left = float(_claims()["exp"]) - time.time()
    st.fragment(_leave, run_every=min(max(left, 0) + 1, LONGEST_WAIT))()


def _sign_out() -> None:
    if st.button("Sign out", icon=":material/logout:", type="tertiary", key="sign-out"):
        st.session_state.clear()  # it holds the pictures of the case that was open
        st.logout()
        st.stop()


def _leave() -> None:
    try:
        user()
    except ValueError:
        st.rerun()


def _claims() -> Mapping[str, Any]:
    return st.user.to_dict()
