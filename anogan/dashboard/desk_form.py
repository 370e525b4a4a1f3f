"""What a reader does with a case of the desk, by mouse or by key: decide, sign, take it back, go on."""

from __future__ import annotations

import streamlit as st

from anogan.dashboard import desk as review
from anogan.dashboard import widgets
from anogan.dashboard.desk_opened import Opened, reload
from anogan.review import REASONS, Case, Conflict, Desk

LONGEST_TEXT = 2000
VERDICTS = {
    "confirm": ("Confirm", "A", ":material/check:", "Accept: something is wrong with it."),
    "dismiss": ("Dismiss", "D", ":material/close:", "Nothing is wrong with it."),
    "unsure": ("Unsure", "U", ":material/help:", "Somebody else should look."),
}
"""Name, key, icon and meaning of each verdict."""


def form(desk: Desk, case: Case) -> None:
    """Ask for a decision; nothing is chosen beforehand."""
    st.subheader("Your first decision, before the score" if case.blind else "Your decision", anchor=False)
    key = f"{case.id}-{case.version}-{desk.user}-{case.blind}"
    chosen = st.session_state.get("desk_chosen")
    verdict, reason = chosen[1:] if chosen is not None and chosen[0] == key else (None, None)
    with st.container(horizontal=True, key="verdicts"):
        for name, (word, letter, icon, meaning) in VERDICTS.items():
            st.button(
                word,
                key=f"verdict-{name}",
                icon=icon,
                help=meaning,
                shortcut=letter,
                type="primary" if name == verdict else "secondary",
                on_click=_choose,
                args=(key, name, None),
            )
    if verdict is None:
        st.caption("Confirm: something is wrong with it. Dismiss: nothing is. Unsure: somebody else should look.")
        return
    st.caption(f"{VERDICTS[verdict][0]}, because of")
    with st.container(horizontal=True, key="reasons"):
        for place, code in enumerate(REASONS[verdict], start=1):
            st.button(
                code.capitalize(),
                key=f"reason-{place}",
                shortcut=str(place),
                type="primary" if code == reason else "secondary",
                on_click=_choose,
                args=(key, verdict, code),
            )
    text = st.text_area(
        "In words", key=f"text-{key}", max_chars=LONGEST_TEXT, placeholder="Needed for another reason. Name nobody."
    )
    if st.button("Record", type="primary", disabled=reason is None, key="record", shortcut="Mod+Enter") and reason:
        try:
            desk.decide(case.id, case.version, verdict, reason, text or "")
        except Conflict as error:
            reload(str(error))
        except ValueError as error:
            widgets.problem(error)
        else:
            reload()


def _choose(key: str, verdict: str, reason: str | None) -> None:
    st.session_state["desk_chosen"] = (key, verdict, reason)


def closing(desk: Desk, opened: Opened) -> None:
    """Offer what can be done with a decided case: its reader signs it, or takes the decision back."""
    case = opened.case
    readers = {decision.reader for decision in opened.decisions if not decision.blind}
    may_sign = desk.reader.may("read") and desk.user in readers and case.verdict != "unsure"
    last = opened.decisions[-1].reader if opened.decisions else ""
    may_reopen = desk.reader.may("read") and (last == desk.user or desk.reader.may("arbitrate"))
    if not may_sign and not may_reopen:
        return
    st.caption("A signed case does not change any more. Until then its decision can be taken back.")
    with st.container(horizontal=True):
        sign = may_sign and st.button("Sign", type="primary", icon=":material/signature:", key="sign", shortcut="S")
        reopen = may_reopen and st.button("Reopen", icon=":material/undo:", key="reopen", shortcut="O")
    if not sign and not reopen:
        return
    try:
        (desk.sign if sign else desk.reopen)(case.id, case.version)
    except ValueError as error:
        reload(str(error))
    reload()


def take_next(desk: Desk) -> None:
    """Go on with the next case of the queue."""
    if not st.button("Take the next case", icon=":material/play_arrow:", key="take", shortcut="T"):
        return
    case = desk.take(st.session_state.get("desk_query"))
    if case is not None:
        review.open_case(case.id)
    st.info("No case under the filters of the desk waits for you.", icon=":material/inbox:")


def leave(desk: Desk, id: int, other: int | None = None) -> None:
    """Give the case back, and go to another one or to the queue."""
    st.session_state.pop("desk_case", None)
    if desk.reader.may("read"):
        desk.release(id)
    if other is None:
        widgets.open_page("desk")
    else:
        review.open_case(other)
