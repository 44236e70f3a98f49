"""What lies outside the package: `--import MODULE_OR_FILE.py ...` registers it.

    python -m rl_attn.ppo --import my_method.py --method my-method --weight 0.5

It happens before the other flags are parsed, since what a file registers may bring flags of its
own. A run keeps the words in its `config.yaml`, so that resuming, evaluating and studies find the
same things again; files are kept with their full path.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rl_attn.errors import UserError, one_line
from rl_attn.run.cli import words_of
from rl_attn.run.configs import find_config
from rl_attn.run.yaml import load_yaml

FLAG = "--import"
_KEY = "imports"  # `import` is no name for a field


def load_imports(argv: Sequence[str]) -> None:
    """Import what --import says among the words of a command line, or in its --config."""
    said = [word for flag in (FLAG, f"--{_KEY}") for word in words_of(argv, flag)]
    import_all(said or _listed(config_values(argv).get(_KEY, ())))


def import_all(words: Iterable[str]) -> None:
    """Import modules and files by name; a UserError for the first that cannot be."""
    for word in words:
        import_one(word)


def import_one(word: str, flag: str = FLAG) -> ModuleType:
    """The module of that name, or the file; a UserError that names the flag if it cannot be."""
    try:
        return _import(word)
    except UserError:
        raise
    except Exception as error:
        reason = one_line(error, named=True)
        raise UserError(f"{flag} {word} cannot be imported: {reason}") from None


def settled(words: Iterable[str]) -> tuple[str, ...]:
    """Files with their full path, so that they are found from any folder; modules as they are."""
    return tuple(os.path.abspath(word) if _is_file(word) else word for word in words)


def config_values(argv: Sequence[str]) -> dict[str, Any]:
    """What the file of --config says; {} without one."""
    config = words_of(argv, "--config")
    return load_yaml(find_config(config[0])) if config else {}


def said(argv: Sequence[str], config: Mapping[str, Any], name: str, default: str) -> str:
    """The value of a flag: of the words, else of the configuration file, else its default."""
    return (words_of(argv, f"--{name}") or _listed(config.get(name, default)))[-1]


def _listed(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]


def _is_file(word: str) -> bool:
    return word.endswith(".py") or os.sep in word


def _import(word: str) -> ModuleType:
    if not _is_file(word):
        if os.getcwd() not in sys.path:  # as `python -m` has it
            sys.path.append(os.getcwd())
        return importlib.import_module(word)
    path = Path(word).resolve()
    if not path.is_file():
        raise UserError(f"{FLAG} {word}: there is no such file")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    name = path.stem if path.stem not in sys.modules else f"_imported_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
