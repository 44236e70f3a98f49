"""What is registered has its page on the site, and a command's page has each of its flags."""

import sys
from pathlib import Path

import pytest

from rl_attn.attention import MAPS
from rl_attn.run.commands import COMMANDS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import page_parts  # noqa: E402
import pages  # noqa: E402


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages.named()


@pytest.mark.parametrize("kind", pages.KINDS, ids=lambda kind: kind.folder)
def test_every_name_has_a_page_and_its_list_leads_there(made, kind):
    index = made[f"{kind.folder}/index.md"]
    names = list(kind.names())
    assert names
    for name in names:
        assert f"\n# {name}\n" in f"\n{made[f'{kind.folder}/{pages.file_of(name)}']}" or (
            kind.folder == "commands" and f"# rl-attn {name}\n" in made[f"commands/{name}.md"]
        )
        assert f"[{name}]({pages.file_of(name)})" in index


def test_a_new_map_gets_a_page_of_its_docstring():
    @MAPS.register("a-new-map")
    def a_new_map(seen, **options):
        """Bright where nobody looked before (Someone 2026)."""

    try:
        (kind,) = [kind for kind in pages.KINDS if kind.folder == "maps"]
        assert "a-new-map" in kind.names()
        assert "Bright where nobody looked before (Someone 2026)." in kind.page("a-new-map")
    finally:
        del MAPS["a-new-map"]
        del MAPS.kinds["a-new-map"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_page_has_its_flags_with_their_meaning(made, command):
    page = made[f"commands/{command}.md"]
    frozen = (ROOT / "tests" / "flags" / f"{command}.txt").read_text().split("\n\n")[0]
    for line in frozen.splitlines():
        flag = line.split(": ")[0]
        shown = flag[2:].upper() if "Positional" in line else flag
        (row,) = [row for row in page.splitlines() if row.startswith(f"| `{shown}`")]
        assert row.split(" | ")[-1].strip("| "), f"{flag} has no help text"


def test_arguments_become_a_list_and_prompts_become_code():
    def take(x):
        """Half of it.

        Args:
            x: a number,
                whatever its size.

        >>> take(4)
        2
        """

    assert page_parts.doc(take) == (
        "Half of it.\n\n**Args**\n\n- `x`: a number,\n  whatever its size.\n\n"
        "\n```pycon\n>>> take(4)\n2\n```"
    )


def test_autodoc_gets_markdown_as_restructured_text():
    import conf

    lines = ["Of `x` and |y|.", "", "    a * b", "", "Args:", "    x: as x_ is.", "", ">>> f(x_)"]
    conf.as_rst(None, "function", "f", None, None, lines)
    assert lines == [
        *("Of ``x`` and \\|y\\|.", "", "::", "", "    a * b", ""),
        *("Args:", "    x: as x\\_ is.", "", ">>> f(x_)"),
    ]


def test_every_public_package_is_in_the_reference():
    """A package that says what is public is one that a reader looks up."""
    said = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("rl_attn", "agents", "envs", "supervised")
        for file in (ROOT / folder).rglob("__init__.py")
        if "\n__all__ = " in file.read_text(encoding="utf-8")
    }
    said = {name if name.startswith("rl_attn") else f"rl_attn.{name}" for name in said}
    assert said <= set(pages.PUBLIC)
