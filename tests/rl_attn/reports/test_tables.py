"""What stands in a table's cells, and that no name breaks its format."""

import math

import pandas as pd
import pytest

from rl_attn.reports.tables import Entry, Table, as_csv, interval, number, plain, plus_minus

NASTY = r"50% & $x_1$ #{a}~b^c\d <e> | f"


@pytest.fixture
def table():
    rows = [
        [plain(NASTY), interval(0.5, 0.25, 0.75, "bold")],
        [plain("b"), plus_minus(0.5, 0.1, "underline")],
    ]
    data = pd.DataFrame({"task": [NASTY, "b"], "mean": [0.5, 1 / 3]})
    return Table("name", "Title & more", ["task", "50%"], rows, data, note="A note.")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (1.0, "1.000"),
        (12.345, "12.35"),
        (-119.0, "-119.0"),
        (251.4, "251"),
        (123456.7, "123457"),
        (3e-5, "3.00e-05"),
        (2.5e9, "2.50e+09"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_numbers_show_three_figures_and_four_after_a_leading_one(value, text):
    assert number(value) == text


def test_intervals_share_their_decimals_and_sort_by_the_mean():
    assert interval(0.646, 0.479, 0.7712) == Entry("0.646 [0.479, 0.771]", 0.646)
    assert interval(57.7, 29.2, 86.3).text == "57.7 [29.2, 86.3]"
    assert interval(0.5, math.nan, math.nan) == Entry("0.500", 0.5)
    assert interval(math.nan, math.nan, math.nan) == Entry("-", -math.inf)
    assert plus_minus(0.9, 0.01).text == "0.900 ± 0.010"


def test_markdown_is_one_table_whatever_the_names(table):
    lines = table.markdown().splitlines()
    assert lines[0] == "**Title & more**" and lines[-1] == "A note."
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4
    assert all(line.replace("\\|", "").count("|") == 3 for line in rows)
    assert "**0.500 [0.250, 0.750]**" in rows[2] and "<u>0.500 ± 0.100</u>" in rows[3]
    assert "<e>" not in rows[2]


def test_latex_is_booktabs_with_every_special_sign_escaped(table):
    text = table.latex()
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{Title \& more}", "50\\%"):
        assert part in text
    assert r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%" in text
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert r"\end{tabular}}" in text and bare.count("{") == bare.count("}")
    assert r"\textbf{0.500 [0.250, 0.750]}" in text
    assert r"\underline{0.500 $\pm$ 0.100}" in text
    escaped = r"50\% \& \$x\_1\$ \#\{a\}\textasciitilde{}b\textasciicircum{}c\textbackslash{}d"
    assert escaped in text


def test_csv_has_the_full_numbers(table):
    assert as_csv(table.data).splitlines()[2] == "b,0.3333333333"


def test_columns_of_numbers_are_known(table):
    assert table.numeric == [False, True]
