"""The page of the desk's own work, as each role sees it."""

from __future__ import annotations

from typing import Any

import pytest
from desks import new
from streamlit.testing.v1 import AppTest

from anogan.review import REASONS, Desk, Policy

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture
def admin(desk: Desk) -> Desk:
    """Return a desk on which ana and ben have read five cases of six, as its admin sees it."""
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for user, role in {"ana": "reader", "ben": "reader", "eva": "second reader", "uwe": "auditor"}.items():
        admin.set_role(user, role)  # type: ignore[arg-type]
    ids = admin.add_many([new(number, p_value) for number, p_value in enumerate((0.002, 0.004, 0.03, 0.2, 0.7, 0.01))])
    work = [("ana", "confirm"), ("ben", "confirm"), ("ana", "dismiss"), ("ben", "dismiss"), ("ana", "confirm")]
    for (user, verdict), id in zip(work, ids, strict=False):
        decide(desk.sign_in(user), id, verdict)
    return admin


def decide(desk: Desk, id: int, verdict: Any) -> None:
    desk.decide(id, desk.lease(id).version, verdict, REASONS[verdict][0])


def start(reader: str = "local") -> AppTest:
    def script() -> None:
        from anogan.dashboard import desk_statistics

        desk_statistics.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    if reader != "local":
        app.text_input(key="desk_reader").set_value(reader).run()
    assert not app.exception
    return app


def table(app: AppTest, column: str) -> Any:
    """Return the first table that has a column."""
    return next(one.value for one in app.table if column in one.value.columns)


def test_an_empty_desk_says_what_brings_cases(desk: Desk) -> None:
    app = start()
    assert app.subheader[0].value == "No case in this time"
    assert not app.table


@pytest.mark.parametrize(
    ("reader", "rows"),
    [
        ("ana", ["ana"]),
        ("ben", ["ben"]),
        ("eva", None),
        ("ida", ["all", "ana", "ben"]),
        ("uwe", ["all", "ana", "ben"]),
    ],
)
def test_each_role_sees_the_work_and_the_times_that_it_may(admin: Desk, reader: str, rows: list[str] | None) -> None:
    app = start(reader)
    found = table(app, "confirmed")
    assert found[["p-value", "confirmed", "dismissed"]].to_numpy().tolist() == [
        ["above 0.001 to 0.01", "2", "0"],
        ["above 0.01 to 0.05", "0", "1"],
        ["above 0.1 to 0.5", "0", "1"],
        ["above 0.5 to 1", "1", "0"],
    ]
    assert found["share confirmed"][0] == "1.000 (0.342 to 1.000)"  # Wilson's interval of 2 of 2: 2 / (2 + 3.8415)
    # The flag and the decision agree on 3 of 5: kappa ((2, 1), (1, 1)) = (3/5 - 13/25) / (12/25)
    agreement = table(app, "agree")
    assert agreement["cases"].tolist() == ["0", "0", "5"]
    assert agreement["agree"][2].startswith("0.600 (")
    assert agreement["Cohen's kappa"][2].startswith("0.167 (")
    if rows is None:
        assert app.info[0].value == "You have read no case in this time."
    else:
        assert table(app, "median")["reader"].tolist() == rows
    captions = " ".join(one.value for one in app.caption)
    assert ("Other readers' times are not shown" in captions) == (reader in ("ana", "ben"))


def test_who_is_no_member_sees_nothing(admin: Desk) -> None:
    app = start("zoe")
    assert "zoe: is no member of this desk and may not see cases" in app.error[0].value.replace("\\", "")
    assert not app.table
    assert not app.get("plotly_chart")


def test_a_blind_desk_shows_no_judgment_of_what_waits(admin: Desk) -> None:
    admin.set_policy(Policy(blind_first=True))
    app = start("ana")
    found = table(app, "confirmed")
    assert found[["confirmed", "dismissed", "unsure"]].astype(int).to_numpy().sum() == 5  # the sixth case waits
    assert table(app, "agree")["cases"].tolist() == ["0", "0", "5"]


def test_the_filters_leave_out(admin: Desk) -> None:
    app = start("ida")
    app.selectbox(key="work_kind").set_value("series").run()
    assert not app.exception
    assert app.subheader[0].value == "No case in this time"


def test_charts_are_told_in_words(admin: Desk) -> None:
    alts = [chart.proto.alt for chart in start("ida").get("plotly_chart")]
    assert alts[0] == "By day: 6 cases came and 5 readings were made on 1 day"
    assert alts[1].startswith("Share confirmed: above 0.001 to 0.01 100%, above 0.01 to 0.05 0%")
