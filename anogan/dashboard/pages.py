"""The pages of the dashboard, in the order of the menu. A new page is one more entry, closed until it opens itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import streamlit as st

from anogan.dashboard import (
    case,
    desk_audit,
    desk_case,
    desk_members,
    desk_queue,
    desk_statistics,
    desk_versions,
    evaluation,
    health,
    model_card,
    training,
    upload,
    worklist,
)

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from anogan.review.roles import Right


@dataclass(frozen=True)
class Listed:
    """A page and who has it.

    Attributes
    ----------
    page
        The function that draws it.
    title, icon
        For the menu.
    section
        What the menu folds it into, so that the pages where cases are looked at stay one click away on a narrow screen,
        too. "": it stands in the menu itself.
    judgments
        Whether it shows what the detector says of images, which those who read blind first must not see beforehand.
    right
        What a role must allow for it, or None: whoever may look at the dashboard.
    desk
        Whether it is a page of the review desk.
    """

    page: Callable[[], None]
    title: str
    icon: str
    section: str = ""
    judgments: bool = True
    right: Right | None = None
    desk: bool = False


PAGES: Mapping[str, Listed] = MappingProxyType(
    {
        "worklist": Listed(worklist.page, "Work list", "list_alt"),
        "case": Listed(case.page, "Case", "image_search"),
        "upload": Listed(upload.page, "Upload", "upload_file"),
        "desk": Listed(desk_queue.page, "Desk", "inbox", judgments=False, desk=True),
        "desk case": Listed(desk_case.page, "Desk case", "fact_check", judgments=False, desk=True),
        "desk statistics": Listed(
            desk_statistics.page, "Work of the desk", "query_stats", "Team", judgments=False, desk=True
        ),
        "audit": Listed(desk_audit.page, "Audit", "history", "Team", judgments=False, right="audit", desk=True),
        "members": Listed(
            desk_members.page, "Members", "group", "Team", judgments=False, right="administer", desk=True
        ),
        "evaluation": Listed(evaluation.page, "Evaluation", "monitoring", "Detector"),
        "training": Listed(training.page, "Training", "model_training", "Detector", judgments=False),
        "versions": Listed(desk_versions.page, "Versions", "layers", "Detector", judgments=False, desk=True),
        "model card": Listed(model_card.page, "Model card", "badge", "Detector", judgments=False),
        "health": Listed(health.page, "Health", "monitor_heart", "Detector", judgments=False),
    }
)


def made(with_desk: bool) -> dict[str, StreamlitPage]:
    """Return Streamlit's pages by name; those of the desk only where there is one."""
    return {
        name: st.Page(
            listed.page, title=listed.title, icon=f":material/{listed.icon}:", url_path=name.replace(" ", "-")
        )
        for name, listed in PAGES.items()
        if with_desk or not listed.desk
    }
