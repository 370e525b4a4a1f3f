"""The dashboard: `streamlit run app.py -- --run runs/NAME`. Its pages are in `anogan/dashboard/router.py`."""

from pathlib import Path

from streamlit.starlette import App

from anogan.dashboard import door

app = App(Path(door.__file__).with_name("router.py"), middleware=door.middleware())
