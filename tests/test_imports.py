"""Imports run one way and in no circle, and a mistake on a command line imports nothing heavy.

Directions are read from the source: an import in a function, or for a type checker, counts too.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from rl_attn.run.commands import COMMANDS

ROOT = Path(__file__).parents[1]

#: From the ground up: a module imports from its own layer and from those before it. The longest
#: name that fits a module says where it belongs.
LAYERS = (
    (
        *("rl_attn", "rl_attn.errors", "rl_attn.lazy", "rl_attn.registry"),
        *("rl_attn.env_settings", "rl_attn.map_names"),
    ),
    ("rl_attn.attention", "rl_attn.statistics"),
    ("rl_attn.agents", "rl_attn.envs"),
    ("rl_attn.run", "rl_attn.pictures", "rl_attn.overlay", "rl_attn.explanation"),
    ("rl_attn.teachers",),
    ("rl_attn.rl", "rl_attn.supervised", "rl_attn.sb3"),
    ("rl_attn.studies",),
    ("rl_attn.reports", "rl_attn.supervised.comparison"),
    ("rl_attn.supervised.compare", "any other module of rl_attn itself: a command"),
)
LAYER = {name: number for number, layer in enumerate(LAYERS) for name in layer}

#: What takes seconds to import; numpy takes half of one.
HEAVY = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scipy", "vizdoom", "gymnasium")


@cache
def sources() -> dict[str, Path]:
    """Every module of the package by its name, through the links."""
    found = {}
    for folder, _, files in os.walk(ROOT / "rl_attn", followlinks=True):
        for file in files:
            path = Path(folder, file)
            if path.suffix == ".py":
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path, at_once: bool = False) -> Iterator[str]:
    """The modules that a file imports; `at_once`: only when it is itself imported."""
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), at_once):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:  # relative ones: in tests alone
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in sources() else node.module


def _statements(tree: ast.AST, at_once: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        if not (at_once and later):
            yield node
            yield from _statements(node, at_once)


def layer_of(module: str) -> int:
    fits = [name for name in LAYER if module == name or module.startswith(f"{name}.")]
    best = max(fits, key=len)
    return len(LAYERS) - 1 if best == "rl_attn" != module else LAYER[best]


def test_modules_import_from_below():
    upwards = [
        f"{module} imports {other}"
        for module, path in sources().items()
        for other in imported(path)
        if other in sources()
        and layer_of(other) > layer_of(module)
        and module != "rl_attn"  # its names are of all layers, and imported when they are used
    ]
    assert not upwards


def test_agents_and_classifiers_do_not_know_each_other():
    halves = ("rl_attn.rl.", "rl_attn.supervised.")
    crossing = [
        f"{module} imports {other}"
        for module, path in sources().items()
        for other in imported(path)
        for half, rest in (halves, halves[::-1])
        if module.startswith(half) and f"{other}.".startswith(rest)
    ]
    assert not crossing


@pytest.mark.parametrize("place", ["rl_attn", "benchmarks"])
def test_there_is_no_circle(place):
    files = sources()
    if place == "benchmarks":  # scripts, which see each other as top-level modules
        files = {path.stem: path for path in ROOT.glob("benchmarks/*.py")}
    graph = {
        module: {other for other in imported(path, place == "rl_attn") if other in files} - {module}
        for module, path in files.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_everything_is_imported_as_rl_attn():
    """The names of the folders at the top belong to others (openai-agents has `agents`)."""
    tests_and_tools = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    for path in [*sources().values(), *tests_and_tools]:
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"envs", "agents", "supervised"}, path


def loaded(code: str) -> set[str]:
    """The top-level packages that `code` imports."""
    code = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stdout.splitlines()[-1].split())


def test_the_package_itself_imports_nothing():
    assert not loaded("import rl_attn, rl_attn.commands") & set(HEAVY)


#: What each command is given wrongly, beside a flag that no command has, and a word of the answer.
MISTAKES = {
    "ppo": [
        ("--seed x", "--seed"),
        ("--gamma 2", "gamma"),
        ("--env Nope", "unknown environment"),
        ("--method nope", "unknown method"),
        ("--attention grad-cm", "grad-cam"),
        ("--attention sarfa", "no gradient"),
        ("--network nope", "unknown network"),
        ("--num-steps 7 --num-envs 1", "divide"),
        ("--method prior --empty-mask suppress", "skip"),
    ],
    "demo": [("--record a.mp4", ".webp or .gif")],
    "watch": [("", "no run is given"), ("nowhere", "does not exist")],
    "evaluate": [("nowhere", "does not exist"), ("nowhere --attention grad-cm", "grad-cam")],
    "random-policy": [("--out x --env Nope", "unknown environment"), ("--out x --rgb 3", "3")],
    "train": [
        ("--seed x", "--seed"),
        ("--data nope", "unknown data set"),
        ("--method nope", "unknown method"),
        ("--method gals --where nope", "--where"),
        ("--method vapl --masks-per-step 0", "masks-per-step"),
        ("--backbone nope", "unknown backbone"),
        ("--attention rise", "no gradient"),
        ("--select-every 3", "--select accuracy"),
    ],
    "check": [("nope", "unknown data set"), ("digits --columns x", "columns")],
    "explain": [
        ("run nowhere.png", "nowhere.png does not exist"),
        ("run . --maps grad-cm", "grad-cam"),
        ("run . --masks nowhere", "is not a folder"),
    ],
    "compare": [("nowhere", "nowhere"), ("x --workers x", "--workers")],
    "masks": [("--data nope", "unknown data set"), ("--dilate -1", "dilate")],
    "prompt": [("run --port 0", "port")],
    "prepare": [("nope --from x --to y", "unknown data set"), ("lidc --from x --to y", "--from")],
    "teacher": [("--steps 0", "steps")],
    "study": [("nowhere", "nowhere"), ("x --workers x", "--workers")],
    "report": [("nowhere", "does not exist"), ("x --frames 0", "frames")],
    "regularizers": [("--env Nope", "unknown scenario"), ("--masks nowhere", "does not exist")],
}


def test_each_command_answers_before_anything_heavy_is_imported():
    """In one process, since a start takes longer than all answers: what the first one that is not
    light imports would be there for the next, so each looks."""
    asked = [
        (command, words, answer)
        for command in COMMANDS
        for words, answer in [
            ("--help", ""),
            ("--no-such-flag", "--help lists every flag"),
            *MISTAKES[command],
        ]
    ]
    code = f"""
import contextlib, io, sys
from rl_attn.commands import main
from rl_attn.errors import UserError
for command, words, answer in {asked!r}:
    said = "accepted"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main([command, *words.split()])
    except UserError as error:
        said = str(error)
    except SystemExit as end:
        said = "" if end.code == 0 else f"status {{end.code}}"
    heavy = {{name.split(".")[0] for name in sys.modules}} & {set(HEAVY)!r}
    if heavy or (answer not in said if answer else said):
        print(command, words, "->", said, *heavy)
        break
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_helpers_of_tests_have_names_of_their_own():
    """One process collects all tests, whose folders are on its path: a name has one module."""
    files = [
        file
        for folder in ("benchmarks", "docs", "tests")
        for file in ROOT.glob(f"{folder}/**/*.py")
    ]
    names = [
        f.stem for f in files if f.stem != "conftest" and not f.stem.startswith(("test_", "__"))
    ]
    assert sorted(set(names)) == sorted(names)
