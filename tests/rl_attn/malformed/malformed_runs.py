"""What is done to the folder of a run that waits to be resumed: its checkpoint, its settings, its
tables. Everything here is wrong by construction, but for bits that may lie where nobody looks."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rl_attn.run.checkpoint import latest_checkpoint


class Damage(NamedTuple):
    kind: str  # checkpoint, folder, table
    name: str
    change: Callable[[Path], None]  # to the run's folder


def damages(draw: random.Random) -> Iterator[Damage]:
    yield from _checkpoints(draw)
    yield from _folders()
    yield from _tables(draw)


# ---------------------------------------------------------------------- checkpoints


def _checkpoints(draw: random.Random) -> Iterator[Damage]:
    for name, change in _STATES.items():
        yield Damage("checkpoint", name, _state(change))
    for name, change in _bytes(draw, 40, 20, 10):
        yield Damage("checkpoint", name, lambda run, c=change: _rewrite(latest_checkpoint(run), c))
    yield Damage("checkpoint", "a folder", lambda run: _as_folder(latest_checkpoint(run)))
    yield Damage("checkpoint", "of another step", lambda run: _renamed(latest_checkpoint(run)))


KEYS = ("agent", "optimizer", "method", "module", "random", "lanes", "frames", "age")
KEYS += ("global_step", "returns", "best_return", "format")
_STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{f"without {key}": lambda state, key=key: state.pop(key) for key in KEYS},
    **{f"{key} is a word": lambda state, key=key: state.update({key: "x"}) for key in KEYS},
    **{f"{key} is nothing": lambda state, key=key: state.update({key: None}) for key in KEYS},
    "step -5": lambda state: state.update(global_step=-5),
    "step huge": lambda state: state.update(global_step=10**12),
    "step a number": lambda state: state.update(global_step=32.0),
    "agent empty": lambda state: state.update(agent={}),
    "optimizer empty": lambda state: state.update(optimizer={}),
    "random short": lambda state: state.update(random=torch.zeros(3, dtype=torch.uint8)),
    "random floats": lambda state: state.update(random=torch.zeros(5056)),
    "frames small": lambda state: state.update(frames=state["frames"][..., :4, :]),
    "frames floats": lambda state: state.update(frames=state["frames"].float()),
    "age of one": lambda state: state.update(age=state["age"][:1]),
    "lanes empty": lambda state: state.update(lanes={}),
    "lanes of one": lambda state: state["lanes"].update(lanes=state["lanes"]["lanes"][:1]),
    "returns of words": lambda state: state.update(returns=["x"]),
    "another weight": lambda state: state["agent"].update(more=torch.zeros(1)),
    "a weight of another shape": lambda state: _first(state).update(_swapped(_first(state))),
    "nan": lambda state: _weight(state).fill_(float("nan")),
    "inf": lambda state: _weight(state).fill_(float("inf")),
    "moment nan": lambda state: state["optimizer"]["state"][0]["exp_avg"].fill_(float("nan")),
    "moment of another shape": lambda state: state["optimizer"]["state"][0].update(
        exp_avg=torch.zeros(7)
    ),
    "format 1": lambda state: state.update(format=1),
}


def _first(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    return state["agent"]


def _swapped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name, weight = next(iter(weights.items()))
    return {name: weight.flatten()[:-1]}


def _weight(state: dict[str, Any]) -> torch.Tensor:
    return next(iter(state["agent"].values()))


def _state(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        file = latest_checkpoint(run)
        state = torch.load(file, weights_only=True)
        change(state)
        torch.save(state, file)

    return spoil


def _as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _renamed(file: Path) -> None:
    file.rename(file.with_name("step_000000031.pt"))


# ---------------------------------------------------------------------- bytes


def _bytes(
    draw: random.Random, flips: int, cuts: int, insertions: int
) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    for _ in range(flips):
        at, bit = draw.random(), draw.randrange(8)
        yield f"bit {bit} at {at:.4f}", lambda data, at=at, bit=bit: _flipped(data, at, bit)
    for _ in range(cuts):
        at = draw.random() * 0.99
        yield f"cut at {at:.4f}", lambda data, at=at: data[: int(at * len(data))]
    for _ in range(insertions):
        at, more = draw.random(), draw.randbytes(draw.randrange(1, 40))
        yield f"inserted at {at:.4f}", lambda data, at=at, more=more: _inserted(data, at, more)
    noise = draw.randbytes(500)
    yield "noise", lambda data: noise
    yield "a program", lambda data: b"cos\nsystem\n(S'true'\ntR."


def _flipped(data: bytes, at: float, bit: int) -> bytes:
    place = int(at * len(data))
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def _inserted(data: bytes, at: float, more: bytes) -> bytes:
    place = int(at * len(data))
    return data[:place] + more + data[place:]


def _rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


# ---------------------------------------------------------------------- the folder


def _folders() -> Iterator[Damage]:
    for name, change in {
        "no settings": lambda run: (run / "config.yaml").unlink(),
        "settings are a folder": lambda run: _as_folder(run / "config.yaml"),
        "settings are empty": lambda run: (run / "config.yaml").write_text(""),
        "settings are noise": lambda run: (run / "config.yaml").write_bytes(bytes(range(256))),
        "settings are a list": lambda run: (run / "config.yaml").write_text("- a\n"),
        "settings of another command": lambda run: (run / "config.yaml").write_text(
            "data: digits\nmethod: camal\nepochs: 3\n"
        ),
        "no folder": shutil.rmtree,
    }.items():
        yield Damage("folder", name, change)


# ---------------------------------------------------------------------- its tables


def _tables(draw: random.Random) -> Iterator[Damage]:
    contents = {
        "no utf-8": b"global_step,a\n32,\xff\xfe\n",
        "a null byte": b"global_step,a\n32,\0\n",
        "other columns": b"patient,grade\n12,good\n",
        "no header": b"32,0.5\n64,0.25\n",
        "blank lines": b"\n\n\n",
        "an open quote": b'global_step,a\n"32,1\n',
        "a step of 5,000 digits": b"global_step,a\n" + b"9" * 5000 + b",1\n",
        "a field of a megabyte": b"global_step,a\n32," + b"x" * 2**20 + b"\n",
        "html": b"<!doctype html><p>404</p>",
        "noise": draw.randbytes(300),
    }
    for table in ("metrics", "evaluations"):
        for name, content in contents.items():
            yield Damage(
                "table",
                f"{table}.csv: {name}",
                lambda run, t=table, c=content: (run / f"{t}.csv").write_bytes(c),
            )
        yield Damage("table", f"{table}.csv: a folder", lambda run, t=table: _table_folder(run, t))


def _table_folder(run: Path, table: str) -> None:
    (run / f"{table}.csv").unlink(missing_ok=True)
    (run / f"{table}.csv").mkdir()
