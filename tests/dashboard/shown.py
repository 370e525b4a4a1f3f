"""What a page gives to the parts that AppTest does not know."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def viewer(app: AppTest) -> dict[str, Any]:
    """Return what the viewer of the case's pictures was given to show; {} where there is none."""
    found = app.get("bidi_component")
    return dict(json.loads(found[0].proto.json)) if found else {}
