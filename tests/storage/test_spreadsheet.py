"""What a spreadsheet would run reaches it as text."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anogan.storage import spreadsheet


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http://evil.example")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("a\n=1", "a\n'=1"),
        ("scan;=1", "scan;'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0d1", "'\uff0d1"),
        ("\ufe66A1", "'\ufe66A1"),
        ("\u22121", "'\u22121"),
        (" =1", "' =1"),
        ("\xa0+1", "'\xa0+1"),
        ("\ufeff=1", "'\ufeff=1"),
        ('x;"=1;', "x;'\"=1;"),
        ('"=1', "'\"=1"),
        (" a", " a"),
        ('"quoted"', '"quoted"'),
        ("'=1", "''=1"),
        ("", ""),
        ("a-b=c", "a-b=c"),
        (-1.5, -1.5),
        (None, None),
        (True, True),
    ],
)
def test_a_formula_is_marked_and_the_rest_is_as_it_was(value: object, shown: object) -> None:
    assert spreadsheet.cell(value) == shown


@given(st.text("=+-@'\"\t\r\n; ab\uff1d", max_size=8))
@example(";'\"=")
@example("''=")
@example(";';=")
def test_the_text_comes_back(text: str) -> None:
    marked = spreadsheet.cell(text)
    assert isinstance(marked, str)
    assert spreadsheet.plain(marked) == text
    for start in marked.replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";"):
        assert not start.lstrip('" ').startswith(("=", "+", "-", "@", "\uff1d"))


def test_no_cell_is_a_formula_where_a_semicolon_parts_cells() -> None:
    """Excel of many countries reads so; a quote within a cell then begins one."""
    for text in ('x;"=1+1;', ';"=1+1', 'x;""=1+1', '"=1+1";=1', "x\n=1+1"):
        for row in csv.reader(io.StringIO(spreadsheet.table(["a"], [["b", text, "c"]])), delimiter=";"):
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def test_a_table_reads_back_with_its_numbers() -> None:
    text = spreadsheet.table(["file", "=head"], [["=a,b.png", -0.25], ['"x"', None]])
    assert text == 'file,\'=head\n"\'=a,b.png",-0.25\n"""x""",\n'
    assert list(csv.reader(io.StringIO(text)))[1] == ["'=a,b.png", "-0.25"]
