"""The router: which pages there are, and which of them this person has. Streamlit runs it for each visit."""

import streamlit as st

from anogan.dashboard import (
    access,
    case,
    desk,
    desk_audit,
    desk_case,
    desk_members,
    desk_queue,
    desk_statistics,
    desk_versions,
    evaluation,
    health,
    model_card,
    style,
    training,
    upload,
    widgets,
    worklist,
)

st.set_page_config(page_title="anogan", page_icon=style.ICON, layout="wide")
pages = {
    "worklist": st.Page(worklist.page, title="Work list", icon=":material/list_alt:", url_path="worklist"),
    "case": st.Page(case.page, title="Case", icon=":material/image_search:", url_path="case"),
    "upload": st.Page(upload.page, title="Upload", icon=":material/upload_file:", url_path="upload"),
    "evaluation": st.Page(evaluation.page, title="Evaluation", icon=":material/monitoring:", url_path="evaluation"),
}
if desk.database():
    pages |= {
        "desk": st.Page(desk_queue.page, title="Desk", icon=":material/inbox:", url_path="desk"),
        "desk case": st.Page(desk_case.page, title="Desk case", icon=":material/fact_check:", url_path="desk-case"),
        "desk statistics": st.Page(
            desk_statistics.page, title="Work of the desk", icon=":material/query_stats:", url_path="desk-statistics"
        ),
        "audit": st.Page(desk_audit.page, title="Audit", icon=":material/history:", url_path="audit"),
        "members": st.Page(desk_members.page, title="Members", icon=":material/group:", url_path="members"),
        "versions": st.Page(desk_versions.page, title="Versions", icon=":material/layers:", url_path="versions"),
    }
pages |= {
    "training": st.Page(training.page, title="Training", icon=":material/model_training:", url_path="training"),
    "model card": st.Page(model_card.page, title="Model card", icon=":material/badge:", url_path="model-card"),
    "health": st.Page(health.page, title="Health", icon=":material/monitor_heart:", url_path="health"),
}
allowed = access.permitted(pages)
page = access.navigate(pages, allowed)
widgets.frame(allowed)
access.account()
page.run()
