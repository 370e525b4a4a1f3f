"""The router: which pages there are, and which of them this person has. Streamlit runs it for each visit."""

import streamlit as st

from anogan.dashboard import access, desk, style, widgets
from anogan.dashboard.pages import made

st.set_page_config(page_title="anogan", page_icon=style.ICON, layout="wide")
pages = made(with_desk=bool(desk.database()))
allowed = access.permitted(pages)
page = access.navigate(pages, allowed)
widgets.frame(allowed)
access.account()
page.run()
