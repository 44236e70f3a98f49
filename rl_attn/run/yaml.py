"""The one way to read and write YAML here: plain values, as YAML 1.2 means them.

A file is a mapping of keys to numbers, words, true, false, null, lists and mappings. Refused with
one line each: aliases (they can grow without end), tags, duplicate keys, numbers that are not
finite, more than 256 kB, nesting beyond 16. `010` is ten, `1:30` and `2001-01-01` are words, and so
are `yes` and `no`: https://yaml.org/spec/1.2.2/#103-core-schema
"""

import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from rl_attn.errors import UserError

_LARGEST = 256 * 1024  # bytes
_DEEPEST = 16

#: Characters that YAML 1.1 takes for line breaks: they are written with a backslash.
_ODD_BREAKS = frozenset("\x85\u2028\u2029\ufeff")

_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
#: Tag, how its plain scalars look, and what they begin with; the first that fits holds.
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", rf"{_FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.0123456789")),
)


def load_yaml(path: Path, kind: str = "config file") -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Args:
        kind: what the file is to the user, for the message.

    Raises:
        UserError: in one line, if there is no such file or it is none of these mappings.
    """
    try:
        values = yaml.load(_text(path), _Loader)
    except FileNotFoundError:
        raise UserError(f"{kind} {path} does not exist") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(f"{kind} {path} is not readable YAML: {reason}") from None
    if not isinstance(values, dict):
        found = type(values).__name__
        raise UserError(f"{kind} {path} must hold `key: value` lines, found a {found}")
    return values


def dump_yaml(values: Any) -> str:
    """Plain values as YAML text that `load_yaml` reads back as they were."""
    text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    if not _ODD_BREAKS & set(text):
        return text
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=100)


def _text(path: Path) -> str:
    if not path.is_file():  # a pipe or a device never ends
        path.stat()
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST // 1024} kB")
    return content.decode("utf-8-sig")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's numbers, without what settings have no use for."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refusal("aliases (& and *) are not taken: write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal("tags (!) are not taken: write the plain value", event)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _refusal(f"nested deeper than {_DEEPEST} levels", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal("a key must be a single word", key_node)
            key = self.construct_object(key_node)
            if key in seen:
                raise _refusal(f"the key {_short(key_node.value)} stands there twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """`<<` is a key like any other: merging is YAML 1.1's."""

    def int_value(self, node: yaml.ScalarNode) -> int:
        text = node.value
        if len(text) > 100:
            raise _refusal(f"the number {_short(text)} has {len(text)} digits", node)
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)

    def float_value(self, node: yaml.ScalarNode) -> float:
        value = float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))
        if not math.isfinite(value):
            raise _refusal(f"{_short(node.value)} is no finite number: give one", node)
        return value


class _Dumper(yaml.SafeDumper):
    """Quotes each word that YAML 1.1 or 1.2 would read as something else; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> str:
        tag = super().resolve(kind, value, implicit)
        if kind is yaml.ScalarNode and tag == _tag("str") and implicit[0]:
            return next((_tag(t) for t, form, _ in _CORE_SCHEMA if re.fullmatch(form, value)), tag)
        return tag


def _tag(name: str) -> str:
    return f"tag:yaml.org,2002:{name}"


def _refusal(reason: str, place: Any) -> yaml.YAMLError:
    mark = place.start_mark
    return yaml.YAMLError(f"{reason} (line {mark.line + 1}, column {mark.column + 1})")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


for _name, _form, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_tag(_name), re.compile(rf"(?:{_form})\Z"), _first)
_Loader.add_constructor(_tag("int"), _Loader.int_value)
_Loader.add_constructor(_tag("float"), _Loader.float_value)
