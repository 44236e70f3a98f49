"""Tables for people: one table as CSV, Markdown, LaTeX (booktabs), and as cells for the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

#: What LaTeX reads as a command, and the signs that old engines do not know.
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
        **{"±": r"$\pm$", "<": "$<$", ">": "$>$", "τ": r"$\tau$", "\n": " "},
    }
)


@dataclass(frozen=True)
class Entry:
    """One cell: what is read, what it sorts by, and whether it is bold or underlined."""

    text: str
    key: float | str = ""
    mark: str = ""  # "", "bold" or "underline"


@dataclass(frozen=True)
class Table:
    """A table as it is read, and the full numbers behind it."""

    name: str  # of its files
    title: str
    header: Sequence[str]
    rows: list[list[Entry]]
    data: pd.DataFrame  # what the CSV holds
    note: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers (or nothing), and are aligned as such."""
        columns = zip(*self.rows, strict=True)
        return [all(not isinstance(e.key, str) or not e.text for e in column) for column in columns]

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header)]
        lines += [[_markdown(entry) for entry in row] for row in self.rows]
        escaped = str.maketrans({"|": "\\|", "\n": " "})
        body = "\n".join(f"| {' | '.join(t.translate(escaped) for t in line)} |" for line in lines)
        return f"**{self.title}**\n\n{body}\n" + (f"\n{self.note}\n" if self.note else "")

    def latex(self) -> str:
        """A tabular with a caption, no wider than the text; needs booktabs and graphicx."""
        frame = pd.DataFrame([[e.text for e in row] for row in self.rows], columns=self.header)
        marks = {"bold": "textbf:--rwrap", "underline": "underline:--rwrap", "": ""}
        css = pd.DataFrame([[marks[e.mark] for e in r] for r in self.rows], columns=self.header)
        style = frame.style.hide(axis="index").format(_latex).format_index(_latex, axis=1)
        style = style.apply(lambda _: css, axis=None)
        text = style.to_latex(
            hrules=True,
            column_format="l" + "r" * (len(self.header) - 1),
            caption=_latex(self.title),
            label=f"tab:{self.name}",
        )
        begin, end = r"\begin{tabular}", r"\end{tabular}"
        narrow = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%" + "\n"
        return text.replace(begin, narrow + begin).replace(end, end + "}")


def as_csv(table: pd.DataFrame) -> str:
    """Ten significant digits, the same bytes for the same numbers."""
    return table.to_csv(index=False, lineterminator="\n", float_format="%.10g")


def number(value: float) -> str:
    """Three significant digits, four after a leading 1, at most three decimals; - for none."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{value:.{_digits(value)}f}"
    return f"{value:.2e}"


def interval(mean: float, low: float, high: float, mark: str = "") -> Entry:
    """mean [low, high]; the mean alone where there is no interval."""
    if not math.isfinite(low):
        return Entry(number(mean), _key(mean), mark)
    digits = _digits(mean, low, high)
    text = f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return Entry(text, _key(mean), mark)


def plus_minus(mean: float, spread: float, mark: str = "") -> Entry:
    """mean ± spread."""
    if not math.isfinite(spread):
        return Entry(number(mean), _key(mean), mark)
    digits = _digits(mean, mean - spread, mean + spread)
    return Entry(f"{mean:.{digits}f} ± {spread:.{digits}f}", _key(mean), mark)


def plain(value: object) -> Entry:
    """A number or a word."""
    if isinstance(value, float):
        return Entry(number(value), _key(value))
    return Entry(str(value), value if isinstance(value, int) else str(value))


def _key(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _digits(*values: float) -> int:
    """Decimals that show three figures of the largest value, four after a leading 1; at most 3."""
    largest = max(abs(value) for value in values)
    if largest < 2:
        return 3
    return max(0, 2 - math.floor(math.log10(largest / 2)))


def _markdown(entry: Entry) -> str:
    wrap = {"bold": "**{}**", "underline": "<u>{}</u>", "": "{}"}[entry.mark]
    return wrap.format(entry.text.replace("<", "&lt;") if entry.text else "")


def _latex(text: str) -> str:
    return text.translate(_LATEX)
