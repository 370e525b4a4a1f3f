"""Members: who may do what on the desk, and how it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from anogan.dashboard import desk as review
from anogan.dashboard import sign_in, widgets
from anogan.dashboard.widgets import plain
from anogan.review import ROLES, Desk, Policy
from anogan.review.roles import Role

_ROLE: Mapping[str, Role | None] = {role: role for role in ROLES} | {"no member": None}
MAY = {
    "reader": "reads and signs cases",
    "second reader": "reads, signs and arbitrates",
    "admin": "sees cases, manages members and policy; decides no case",
    "auditor": "sees cases and the audit log; changes nothing",
}


def page() -> None:
    """Show members and policy, and change them."""
    st.title("Members", anchor=False)
    desk = review.require_desk()
    try:
        known = desk.members()
        policy = desk.policy
        desk.reader.need("administer")
    except ValueError as error:
        widgets.problem(error)
        return
    if notice := st.session_state.pop("members_notice", ""):
        st.success(plain(notice), icon=":material/check:")
    left, right = st.columns(2, gap="large")
    with left:
        members(desk, known)
    with right:
        how(desk, policy)


def members(desk: Desk, known: Mapping[str, str]) -> None:
    """List the members; add one, change a role, end a membership."""
    st.subheader("Who", anchor=False)
    if known:
        rows = [{"Member": plain(name), "Role": role, "May": MAY[role]} for name, role in known.items()]
        st.table(rows, border="horizontal", hide_index=True)
    else:
        st.info(
            "Nobody is a member: this desk is that of one person. The first member must be an admin; from then on "
            "only members see cases.",
            icon=":material/person:",
        )
    with st.form("member", enter_to_submit=False):
        name = st.text_input("Name", max_chars=100, help="As the sign-in gives it.", key="member-name")
        role = st.selectbox(
            "Role", tuple(_ROLE), None, placeholder="Choose one", format_func=str.capitalize, key="member-role"
        )
        if st.form_submit_button("Save member", type="primary"):
            if role is None:
                widgets.problem("role: is not chosen; choose one")
            else:
                _change(lambda: desk.set_role(name, _ROLE[role]), f"{name}: {role}")
    if not known and not sign_in.required():
        st.caption("Afterwards enter that name in the field Reader to go on.")


def how(desk: Desk, policy: Policy) -> None:
    """Show and change the policy."""
    st.subheader("How the desk works", anchor=False)
    with st.form("policy", enter_to_submit=False):
        readings = st.selectbox("Independent readings of each case", (1, 2), policy.readings - 1, key="policy-readings")
        blind = st.toggle(
            "Read blind first",
            policy.blind_first,
            help="Readers decide once before they see what the detector says, and have no pages that list scores.",
            key="policy-blind",
        )
        lease = st.number_input(
            "Seconds for which a case belongs to who opened it", 1, value=policy.lease, step=60, key="policy-lease"
        )
        if st.form_submit_button("Save policy"):
            _change(lambda: desk.set_policy(Policy(readings, blind, lease)), "The policy is changed.")


def _change(step: Callable[[], None], done: str) -> None:
    """Make a change and read everything anew, or say why it was refused."""
    try:
        step()
    except ValueError as error:
        widgets.problem(error)
    else:
        st.session_state["members_notice"] = done
        st.rerun()
