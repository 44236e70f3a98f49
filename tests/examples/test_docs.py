"""docs/environments.md shows the tested files, as they are.

python tests/examples/test_docs.py      # copies them into the page again
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "environments.md"


def filled(page: str) -> str:
    """The page with each file below its comment."""

    def block(match: re.Match) -> str:
        return f"<!-- {match[1]} -->\n\n```python\n{(ROOT / match[1]).read_text()}```\n"

    return re.sub(r"<!-- (\S+\.py) -->\n(?:\n```python\n.*?```\n)?", block, page, flags=re.S)


def test_the_page_shows_every_example():
    page = PAGE.read_text()
    assert page == filled(page), "run python tests/examples/test_docs.py"
    for file in (ROOT / "examples").glob("*.py"):
        assert f"<!-- examples/{file.name} -->" in page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
