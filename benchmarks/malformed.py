"""How malformed inputs end, over all commands, as one table.

    uv run python benchmarks/malformed.py
    uv run python benchmarks/malformed.py --share 0.1 --seed 3

The inputs are those of the tests' generators: flags, YAML, studies, checkpoints, run folders and
their tables, images, masks, folders, arrays, options, tables of downloads. Each is tried in this
process. Good is what is refused in one line before work begins (a command then ends with status 2),
or what turns out to be harmless, as a flipped bit in a name that nobody reads: there the result is
that of the good input, to the bit. All else is listed.
"""

import contextlib
import dataclasses
import io
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.rl import loading
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import checkpoints, latest_checkpoint, load_checkpoint
from rl_attn.run.cli import command, run_command
from rl_attn.run.commands import COMMANDS
from rl_attn.run.yaml import load_yaml
from rl_attn.supervised.data import load
from rl_attn.supervised.data.prepare.res import _annotations
from rl_attn.supervised.data.prepare.samples import read_table
from rl_attn.supervised.data.replaced import with_masks

TESTS = Path(__file__).resolve().parents[1] / "tests"
for part in ("rl_attn/malformed", "rl_attn/outside", "supervised/data", "supervised/data/prepare"):
    sys.path.insert(0, str(TESTS / part))

import malformed_inputs as inputs  # noqa: E402
import malformed_pictures as pictures  # noqa: E402
import malformed_tables as tables  # noqa: E402
import spotlight  # noqa: E402
from malformed_runs import Damage, damages  # noqa: E402

GOOD = ("one line", "harmless")
OUTCOMES = (*GOOD, "late", "accepted", "traceback", "hanging")
SECONDS = 30  # after which an answer does not come


@dataclasses.dataclass
class Malformed:
    """Count how malformed inputs end."""

    seed: int = 0
    """of what is drawn"""
    share: float = 1.0
    """of the inputs of each kind that are tried"""


class Case(NamedTuple):
    """An input, and what tries it in a folder of its own: whether what came is right."""

    kind: str
    name: str
    attempt: Callable[[Path], bool]


class Hanging(BaseException):
    pass


def cases(seed: int, run: Path) -> Iterator[Case]:
    """All of them; `run` is a good run that waits to be resumed."""
    draw = random.Random(seed)
    for name in COMMANDS:
        for one in inputs.flags_of(name):
            yield Case("flags", f"{name} {' '.join(one.words)}", partial(refused, one))
    settings = {k: v for k, v in load_yaml(run / "config.yaml").items() if v not in (None, [], "")}
    for values in (inputs.CONFIG, settings):
        for one in inputs.configs(values, draw):
            yield Case("YAML", one.what, partial(read_file, one))
    for one in inputs.studies(inputs.STUDY, draw):
        yield Case("studies", one.what, partial(read_file, one))
    for damage in damages(draw):
        kind = {"checkpoint": "checkpoints", "folder": "run folders", "table": "run tables"}
        for how in (resumed, shown) if damage.kind != "table" else (resumed,):
            name = f"{how.__name__}, {damage.name}"
            yield Case(kind[damage.kind], name, partial(how, damage, run))
    for place, name, change, number in pictures.FILES:
        kind = "images" if place == pictures.IMAGE else "masks"
        tried = partial(read, spoilt(change, place, number), (place, name))
        yield Case(kind, f"{name} {number}", tried)
    for name, (change, _) in pictures.FOLDERS.items():
        yield Case("image folders", name, partial(read, change, ("", "")))
    for name, change in pictures.ARRAYS.items():
        yield Case("arrays", name, partial(masked, change))
    for words in OPTIONS:
        yield Case("data options", f"{words}", partial(with_options, words))
    for name, content in (*tables.spoilt(tables.GOOD), *tables.matrices()):
        yield Case("tables", f"RES, {name}", partial(table_of_res, content))
    good = b"class,image,subject,split,annotated\na,x.png,s,train,1\n"
    for name, content in tables.spoilt(good):
        yield Case("tables", f"prepared, {name}", partial(table, content))


def unguarded(seed: int) -> Iterator[Case]:
    """Bits flipped in formats without a checksum: what can be decoded is another picture."""
    for number in range(seed, seed + 8):
        for name, change in pictures.UNGUARDED.items():
            tried = partial(read, spoilt(change, pictures.IMAGE, number), ("", ""))
            yield Case(name, str(number), tried)


OPTIONS = [
    {name: value}
    for name, values in {
        "size": ("-1", "x", "1.5", "nan", ""),
        "fit": ("none", ""),
        "seed": ("-1", "x", ""),
        "allow_missing": ("maybe", "2", ""),
        "mask_kind": ("none", ""),
        "mask_label": ("x", "1;2", "1.5"),
        "mask_unknown": ("3", "x"),
        "mask_colour": ("no such colour", "#12"),
        "mask_range": ("1", "2,1", "a,b", "nan,1"),
        "image_range": ("1", "2,1", "a,b", "0,inf"),
        "alpha": ("half", ""),
        "sise": ("3",),
    }.items()
    for value in values
]


# ---------------------------------------------------------------------- attempts


def refused(flags: inputs.Flags, _: Path) -> bool:
    inputs.read_command(flags)
    return False


def read_file(file: inputs.File, folder: Path) -> bool:
    inputs.read_file(file, folder)
    return False


def resumed(damage: Damage, run: Path, folder: Path) -> bool:
    """The run ends as the undisturbed one."""
    copy = folder / "run"
    shutil.copytree(run, copy)
    damage.change(copy)
    ppo.main(["--resume", str(copy)])
    return same(weights(copy), weights(run.parent / "whole"))


def shown(damage: Damage, run: Path, folder: Path) -> bool:
    """Its agent, as `evaluate` loads it, is the undisturbed one."""
    copy = folder / "run"
    shutil.copytree(run, copy)
    damage.change(copy)
    player = loading.load(copy, "latest", torch.device("cpu"))
    return same(player.agent.state_dict(), weights(run))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(run), State)["agent"]


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def spoilt(change: pictures.Change, place: str, seed: int) -> Callable[[Path], None]:
    """A change of one file as one of its folder."""
    return lambda root: change(root / place, np.random.default_rng(seed))


def read(change: Callable[[Path], object], place: tuple[str, str], folder: Path) -> bool:
    good = pictures.make(folder)
    change(folder)
    return pictures.loaded(folder) == pictures.expected_of(*place, good)


def with_options(words: dict[str, str], folder: Path) -> bool:
    pictures.make(folder)
    load("masked-folder", folder, **words)
    return False


def masked(change: Callable[[Path], object], folder: Path) -> bool:
    change(folder / "train.npy")
    with_masks(load("digits"), folder, ("train",))
    return False


def table_of_res(content: bytes, folder: Path) -> bool:
    (folder / "factual.csv").write_bytes(content)
    _annotations(folder, "gender")
    return False


def table(content: bytes, folder: Path) -> bool:
    (folder / "samples.csv").write_bytes(content)
    read_table(folder / "samples.csv")
    return False


# ---------------------------------------------------------------------- judgement


def judged(case: Case, began: list[None]) -> tuple[str, str]:
    """How it ends, and what came."""
    began.clear()
    signal.alarm(SECONDS)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            right = case.attempt(Path(folder))
    except UserError as error:
        if not str(error).isprintable():
            return "traceback", f"more than a line: {error}"
        return ("late" if began else "one line"), str(error)
    except Hanging:
        return "hanging", ""
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return ("harmless" if right else "accepted"), ""


def good_run(folder: Path) -> Path:
    """A run of a small environment, and beside it the same, broken off after its first half."""
    whole, half = folder / "whole", folder / "half"
    small = ["--env", "spotlight:Spotlight-v0", "--num-envs", "2", "--num-steps", "16"]
    small += ["--num-minibatches", "2", "--update-epochs", "1", "--total-timesteps", "64"]
    small += ["--device", "cpu", "--threads", "1", "--precision", "fp32", "--eval-interval", "32"]
    small += ["--checkpoint-interval", "1", "--keep-checkpoints", "0", "--eval-episodes", "1"]
    ppo.main([*small, "--run-dir", str(whole)])
    shutil.copytree(whole, half)
    for later in checkpoints(half)[1:]:
        later.unlink()
    return half


def count(args: Malformed) -> tuple[Counter, list[str], Counter]:
    """(kind, outcome) -> inputs; what is not good, in words; outcomes of unguarded formats."""
    began: list[None] = []
    reset = spotlight.Spotlight.reset
    spotlight.Spotlight.reset = lambda *a, **k: (began.append(None), reset(*a, **k))[1]
    previous = signal.signal(signal.SIGALRM, hang)
    found, wrong, open_ = Counter(), [], Counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stdout(io.StringIO()):
                run = good_run(Path(folder))
            draw = random.Random(args.seed)
            for case in cases(args.seed, run):
                if draw.random() >= args.share:
                    continue
                outcome, what = judged(case, began)
                found[case.kind, outcome] += 1
                if outcome not in GOOD:
                    wrong.append(f"{case.kind}, {case.name[:120]}: {outcome} {what[:200]}".strip())
            for case in unguarded(args.seed):
                if draw.random() < args.share:
                    open_[judged(case, began)[0]] += 1
    finally:
        signal.signal(signal.SIGALRM, previous)
        spotlight.Spotlight.reset = reset
    return found, wrong, open_


def hang(*_: object) -> None:
    raise Hanging


def table_of(found: Counter) -> Table:
    made = Table("kind", "inputs", *OUTCOMES, title="how malformed inputs end")
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    for kind in (*kinds, "all"):
        numbers = [
            sum(n for (k, o), n in found.items() if kind in (k, "all") and o == outcome)
            for outcome in OUTCOMES
        ]
        made.add_row(kind, f"{sum(numbers):,}", *map(str, numbers))
    return made


@command(Malformed, "python benchmarks/malformed.py")
def main(args: Malformed) -> int:
    torch.set_num_threads(1)
    found, wrong, open_ = count(args)
    Console().print(table_of(found))
    total, good = sum(found.values()), sum(n for (_, o), n in found.items() if o in GOOD)
    print(f"{good:,} of {total:,} are good ({good / total:.2%}); the rest:")
    print(*wrong, sep="\n")
    print(f"bits flipped in JPEG, BMP, TIFF, WebP, which nothing guards: {dict(open_)}")
    return 0 if good >= 0.99 * total else 1


if __name__ == "__main__":
    run_command(main)
