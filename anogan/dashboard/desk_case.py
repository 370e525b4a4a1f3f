"""Desk case: look, decide, sign; on a desk read blind first the judgment comes after the first decision."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from anogan.dashboard import case_view, charts, desk_form, widgets
from anogan.dashboard import desk as review
from anogan.dashboard.desk_opened import Opened, opened
from anogan.dashboard.widgets import number, p_text, plain
from anogan.detector.calibration import of_group
from anogan.review import Case, Decision, Desk, Query


def page() -> None:
    """Show the case that the address names by its number."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        back = st.button(
            "To the desk",
            key="back",
            icon=":material/arrow_back:",
            type="tertiary",
            shortcut="B",
            help="Gives the case back if you have it.",
        )
        st.space("stretch")
        way = st.container(horizontal=True, width="content")
        desk = review.require_desk()
    wanted = st.query_params.get("case", "")
    if not wanted.isdecimal():
        if back:
            widgets.open_page("desk")
        widgets.empty("No case open", "Take the next case on the desk, or open one there.")
        return
    try:
        if back:
            desk_form.leave(desk, int(wanted))
        with way:
            walk(desk, int(wanted))
        show(desk, opened(desk, int(wanted)))
    except ValueError as error:
        widgets.problem(error)


def walk(desk: Desk, id: int) -> None:
    """Show the way to the previous and the next case of the queue as it was listed; this one is given back."""
    before, after = review.neighbors(desk, id)
    if before is after is None:
        return
    back = st.button("Previous", key="previous", icon=":material/chevron_left:", disabled=before is None, shortcut="P")
    on = st.button("Next", key="next", icon=":material/chevron_right:", disabled=after is None, shortcut="N")
    if back or on:
        desk_form.leave(desk, id, after if on else before)


def show(desk: Desk, shown: Opened) -> None:
    """Show one case: what it is, its pictures, the decision, what came before."""
    case = shown.case
    header(case)
    notice = st.session_state.pop("desk_notice", "")
    if notice and notice != shown.refusal:
        widgets.problem(notice)
    left, right = st.columns([5, 2], gap="large")
    with left:
        pictures(shown)
    with right:
        if shown.refusal:
            st.warning(plain(shown.refusal), icon=":material/lock:")
        elif case.state in review.WAITING and desk.reader.may("read"):
            desk_form.form(desk, case)
        elif case.state == "decided":
            desk_form.closing(desk, shown)
        if case.state not in review.WAITING and desk.reader.may("read"):
            desk_form.take_next(desk)
        decisions(shown.decisions)
        earlier(shown)
        with st.container(horizontal=True):
            review.sheet_button(desk, case.id)
            review.export_buttons(desk, Query(number=case.id, order="age"), f"case-{case.id}")
    if shown.judged is not None:
        entry, summary = shown.judged
        case_view.evidence(entry, shown.maps, summary, Path(case.folder).parent)


def header(case: Case) -> None:
    """Show what the case is and how far it is."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(plain(case.title), anchor=False, width="content")
        st.markdown(review.state_mark(case), width="content")
        withheld = case.blind and case.status == "scored"
        hint = "Decide once before you see it." if withheld else None
        st.markdown(review.judgment_mark(case), width="content", help=hint)
    name, _, hash = case.detector.rpartition(" ")
    detector = f"{name} {hash[:12]}".strip()
    facts = [f"Case {case.id}", case.kind, case.subject, f"came {review.moment(case.added)}", detector]
    st.caption(plain(" · ".join(filter(None, facts))))
    if case.signed is not None:
        st.caption(plain(f"Signed by {case.signed_by}, {review.moment(case.signed)}."))


def pictures(shown: Opened) -> None:
    """Show what the detector says in words, the image, and its map once it may be seen."""
    case = shown.case
    if case.status != "scored":
        st.markdown(plain(case_view.judgment({"status": case.status, "reason": case.reason}, {})))
    elif case.blind:
        st.info("Score and heat map come after your first decision.", icon=":material/lock:")
    elif shown.judged is not None:
        st.markdown(plain(case_view.judgment(*shown.judged)))
    else:
        st.markdown(f"The score is {number(case.score)}, p = {p_text(case.p_value)}. {plain(case.reason)}")
        st.caption("The heat map is not shown: the folder of results is not here, or was made anew since.")
    name = f"{case.id}-{shown.judged is not None}"
    if shown.no_picture:
        st.info(plain(shown.no_picture), icon=":material/image_not_supported:")
    elif shown.judged is not None:
        entry, summary = shown.judged
        scale, top = case_view.map_range(summary), entry.get("top_slices", ())
        case_view.pictures(name, shown.maps, scale, entry["score"], shown.stack, top)
    else:
        case_view.pictures(name, shown.maps, None, stack=shown.stack)


def decisions(made: tuple[Decision, ...]) -> None:
    """List what was decided so far, as far as this reader may see it."""
    if not made:
        return
    st.subheader("Decisions", anchor=False)
    for one in made:
        blind = ", before the score was shown" if one.blind else ""
        words = f": {one.text}" if one.text else ""
        st.markdown(
            f"**{plain(one.verdict.capitalize())}**, {plain(one.reason + words)}  \n"
            f"{plain(one.reader)}, {one.stage} reading{blind}, {review.moment(one.decided)}, {one.seconds:.0f} s"
        )


def earlier(shown: Opened) -> None:
    """List the earlier cases of the same subject; what the detector said of them waits for the blind decision, too."""
    if not shown.earlier:
        return
    st.subheader("Earlier cases of this subject", anchor=False)
    scores_so_far(shown)
    for case in reversed(shown.earlier):
        words = [review.moment(case.added), case.title, case.state + (f": {case.verdict}" if case.verdict else "")]
        if not shown.case.blind and case.p_value is not None:
            words.append(f"p = {p_text(case.p_value)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(plain(" · ".join(words)), width="stretch")
            if st.button(f"Case {case.id}", key=f"earlier-{case.id}", type="tertiary"):
                review.open_case(case.id)


def scores_so_far(shown: Opened) -> None:
    """Draw the scores of this subject under this detector, where there are two or more; others do not compare."""
    now = shown.case
    same = [case for case in (*shown.earlier, now) if (case.detector, case.kind) == (now.detector, now.kind)]
    same = [case for case in same if case.score is not None and not now.blind]
    if len(same) < 2:
        return
    threshold = None if shown.judged is None else of_group(*shown.judged).get("threshold")
    words = ", ".join(f"{review.moment(case.added)} {number(case.score)}" for case in same)
    figure = charts.scores_over_time([case.added for case in same], [case.score or 0.0 for case in same], threshold)
    st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=f"Scores of this subject: {words}", key="scores-so-far")
