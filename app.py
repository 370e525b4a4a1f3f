"""The dashboard's router: `streamlit run app.py -- --run runs/NAME`."""

import streamlit as st

from anogan.dashboard import (
    case,
    desk,
    desk_case,
    desk_queue,
    desk_versions,
    evaluation,
    style,
    training,
    upload,
    widgets,
    worklist,
)

st.set_page_config(page_title="anogan", page_icon=style.ICON, layout="wide")
pages = {
    "worklist": st.Page(
        worklist.page, title="Work list", icon=":material/list_alt:", url_path="worklist", default=True
    ),
    "case": st.Page(case.page, title="Case", icon=":material/image_search:", url_path="case"),
    "upload": st.Page(upload.page, title="Upload", icon=":material/upload_file:", url_path="upload"),
    "evaluation": st.Page(evaluation.page, title="Evaluation", icon=":material/monitoring:", url_path="evaluation"),
    "training": st.Page(training.page, title="Training", icon=":material/model_training:", url_path="training"),
}
if desk.database():
    pages |= {
        "desk": st.Page(desk_queue.page, title="Desk", icon=":material/inbox:", url_path="desk"),
        "desk case": st.Page(
            desk_case.page, title="Case of the desk", icon=":material/fact_check:", url_path="desk-case"
        ),
        "versions": st.Page(desk_versions.page, title="Versions", icon=":material/layers:", url_path="versions"),
    }
page = st.navigation(list(pages.values()), position="top")
widgets.frame(pages)
page.run()
