"""The parts that pages made from the code consist of, as Markdown: docstrings, tables, sources."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rl_attn.run.help import flags_of

ROOT = Path(__file__).parents[1]
MADE = ROOT / "docs" / "made"


def api(module: str) -> str:
    """The public names of a package, by autodoc."""
    package = import_module(module)
    elsewhere = "rl_attn.attention" if module == "rl_attn.attention.losses" else ""
    elsewhere = "rl_attn.agents" if module == "rl_attn.agents.networks" else elsewhere
    known = set(import_module(elsewhere).__all__) if elsewhere else set()
    entries = []
    for name in package.__all__:
        thing = getattr(package, name)
        if name in known:
            continue
        if inspect.isclass(thing):
            entries.append(f".. autoclass:: {module}.{name}\n   :members:\n")
        elif inspect.isroutine(thing):
            entries.append(f".. autofunction:: {module}.{name}\n")
        else:
            text = " ".join(repr(thing).split())
            text = text if len(text) < 80 and "<" not in text else type(thing).__name__
            entries.append(f".. py:data:: {module}.{name}\n   :value: {text}\n")
    known_from = f"The names of `{elsewhere}` are described there." if known else ""
    body = "\n".join(entries)
    return join(f"# {module}", doc(package), known_from, f"```{{eval-rst}}\n{body}```")


def flags(kind: type | None, without: type | None = None, of: str = "") -> str:
    """A table of a dataclass's flags; those of `without` are not its own."""
    if kind is None or not is_dataclass(kind):
        return f"`{of}` lists them." if of else "It has none."
    inherited = {flag.names for flag in flags_of(without)} if without else set()
    rows = [
        (listed(flag.names), listed([flag.takes]), listed([flag.default]), flag.words)
        for flag in flags_of(kind)
        if flag.names not in inherited
    ]
    return table(("flag", "value", "default", "meaning"), rows) if rows else "It has none."


def recipes(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    if not recipes:
        return ""
    rows = [
        (f"`{where}`" if where else "everywhere", ", ".join(f"`{k}={v}`" for k, v in said.items()))
        for where, said in recipes.items()
    ]
    return join("## The paper's values", "They are the defaults; a flag overrides them.",
                 table(("data set or backbone", "values"), rows))  # fmt: skip


def needs(kind: Any) -> str:
    said = ["masks on the training pictures"] if kind.needs_masks else []
    said += ["feature maps"] if kind().needs_features() else []
    return f"It needs {' and '.join(said) or 'neither masks nor feature maps'}."


def source(thing: Any) -> str:
    """The file that it is in."""
    file = inspect.getsourcefile(inspect.unwrap(thing))
    if file is None or ROOT not in Path(file).resolve().parents:
        return ""
    path = Path(file).resolve().relative_to(ROOT)
    return f"Source: [`{path}`](../../../{path})"


def doc(thing: Any) -> str:
    """A docstring as Markdown: sections of arguments become lists, prompts become code."""
    text = inspect.getdoc(thing) or ""
    if text.startswith(("partial(", f"{getattr(thing, '__name__', '')}(")):
        return ""  # made by functools or dataclasses
    return "\n".join(_markdown(text.splitlines()))


def _markdown(lines: list[str]) -> Iterator[str]:
    section, fenced = False, False
    for line in lines:
        if fenced and not line.strip():
            yield "```"
            fenced = False
        if not fenced and line.lstrip().startswith(">>> "):
            yield "\n```pycon"
            fenced = True
        if fenced:
            yield line
        elif line in ("Args:", "Returns:", "Raises:", "Yields:"):
            yield f"**{line[:-1]}**\n"
            section = True
        elif section and line.startswith("    "):
            head, colon, rest = line[4:].partition(": ")
            plain = line.startswith("     ") or not colon or " " in head.replace(", ", "")
            yield f"  {line.strip()}" if plain else f"- `{head}`: {rest}"
        else:
            section = section and not line
            yield line
    if fenced:
        yield "```"


def picture(folder: str, name: str, caption: str) -> str:
    """A picture that `docs/pictures.py` has made, where it has."""
    file = MADE / "pictures" / folder / f"{name}.png"
    return f"![{name}: {caption}](../pictures/{folder}/{name}.png)" if file.exists() else ""


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)


def code(*lines: str) -> str:
    return "\n".join(["```bash", *lines, "```"])


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
                     for line in lines)  # fmt: skip


def join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
