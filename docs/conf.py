"""The site: `.ci/docs` builds it into build/docs, and fails on any warning.

Pages are the Markdown files of this folder, and those that `pages.py` makes from the code.
"""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import pages  # noqa: E402
import pictures  # noqa: E402

project = "rl-attn"
author = "The rl-attn developers"
copyright = "the rl-attn developers"
version = release = version_of("rl-attn")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Types are shortened: `Tensor`, not `torch.Tensor`; an alias such as `Cells` keeps its name.
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
default_role = "code"
smartquotes = False  # of --flags it would make dashes
highlight_language = "text"

html_theme = "furo"
html_copy_source = False
html_use_index = False
html_title = f"rl-attn {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def as_rst(app, what, name, thing, options, lines: list[str]) -> None:
    """Docstrings are Markdown with Google's sections; autodoc reads reStructuredText."""
    found: list[str] = []
    before, code = "", -1  # the last line that was not empty; how deep the text above code lies
    for i, line in enumerate(lines):
        depth, above = (len(text) - len(text.lstrip()) for text in (line, before))
        if line.strip() and depth <= code:
            code = -1
        paragraph = line.strip() and (i == 0 or not lines[i - 1].strip())
        if paragraph and code < 0 and before and depth > above:
            found += [" " * above + "::", ""]
            code = above
        plain = code < 0 and not line.lstrip().startswith((">>>", "..."))
        found.append(_escaped(line) if plain else line)
        before = line if line.strip() else before
    lines[:] = found


def _escaped(line: str) -> str:
    """Text of a line that reStructuredText would take for markup, outside of `code`."""
    parts = re.split(r"(`[^`]*`)", line)
    for i, part in enumerate(parts):
        parts[i] = f"`{part}`" if i % 2 else re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part)
    return "".join(parts)


def setup(app):
    pictures.write()
    pages.write()
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon
