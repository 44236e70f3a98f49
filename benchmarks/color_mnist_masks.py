"""Which masks would give Learning to Look (Yang et al. 2026) its printed ColorMNIST accuracy?

    python benchmarks/color_mnist_masks.py --base mnist --data-root DIR --workers 2
    python benchmarks/color_mnist_masks.py --pictures 600 --seeds 1       # offline, two minutes

The paper's own masks, WeCLIP+'s, are not published. A row of the table is a kind of mask:

    none            nothing but cross-entropy
    ring            what the released script makes of a mask: a ring round it
    ring-wide       the same dilated once more, as the paper's text has it
    ring-jpeg       the ring, and training pictures that were JPEG files of quality 75
    ring-other      the ring of another picture
    ring-every      the ring for the map of every class, not of the true one alone
    ink, ground     the digit; all but the digit
    teacher         for the true class's map that of a LeNet which was trained on the same digits
                    without their colour, and so knows what masks are to teach
    teacher-every   that teacher's map of every class, for that of every class

The run is that of `supervised.train --data color-mnist --method learning-to-look`, shortened: LeNet
at 32x32, SGD, attention alone, then cross-entropy + lambda * attention with optimiser and schedule
begun again. Columns, as mean and s.d. over seeds: accuracy on the test (colours reversed) after the
last epoch, and after the best one of phase 2, which nobody can tell without the test; validation
accuracy, in training colours; the paper's Optim Value, that times 1 - L_attn.

Each finished run is kept in --out, and the same command goes on from there.
"""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from machine import report
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from rl_attn.attention import cam, edge_band, kl_alignment, resize_mask
from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.files import write_text
from rl_attn.supervised.backbones import LeNet
from rl_attn.supervised.batches import View
from rl_attn.supervised.data import Split, load
from rl_attn.supervised.data.grey import Base
from rl_attn.supervised.data.resize import resize
from rl_attn.supervised.teachers import fit_on, without_colour

SIZE, GRID, BATCH, TEACHER_STEPS = 32, (10, 10), 32, 4000
VIEW = View(None, 3, torch.full((3,), 0.5), torch.full((3,), 0.5))
Mask = Literal[
    "none", "ring", "ring-wide", "ring-jpeg", "ring-other", "ring-every", "ink", "ground",
    "teacher", "teacher-every",
]  # fmt: skip
ALL: tuple[Mask, ...] = get_args(Mask)


@dataclass
class ColorMaskSettings:
    """Train with each kind of mask, and see whether colours are still relied on."""

    masks: tuple[Mask, ...] = ALL
    """kinds of masks, see above"""
    base: Base = "digits"
    """whose pictures are coloured"""
    data_root: str = "data"
    """folder with MNIST"""
    pictures: int = 20_000
    """of the training pictures, at most"""
    attention_epochs: int = 6
    """of phase 1"""
    joint_epochs: int = 6
    """of phase 2"""
    weight: float = 160.0
    """lambda"""
    seeds: int = 3
    """how many"""
    workers: int = 1
    """runs at once, of one thread each"""
    out: str = "runs/benchmarks/color_mnist_masks.json"
    """where finished runs are kept"""


class Pictures(NamedTuple):
    x: Tensor  # (N, 3, 32, 32) in [-1, 1]
    labels: Tensor  # (N,)
    ink: Tensor  # (N, 28, 28) in {0, 1}

    @classmethod
    def of(cls, split: Split, number: int | None = None) -> "Pictures":
        images, masks = split.images[:number], split.masks[:number]
        return cls(VIEW.pictures(resize(images, SIZE)), split.labels[:number], (masks > 0).float())


# ---------------------------------------------------------------------- masks


def drawn(masks: Tensor) -> Tensor:
    """(N, 28, 28) in {0, 1} -> (N, 1, 10, 10): to the map's grid as `LearningToLook` does."""
    large = resize((masks * 255).byte(), SIZE).float() / 255
    return resize_mask((large * 8).clamp_max(1), GRID, "nearest")[:, None]


#: Of the ink; "none" has masks that nothing comes of.
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda ink: ink,
    "ring": edge_band,
    "ring-wide": lambda ink: edge_band(ink, widen=1),
    "ring-jpeg": edge_band,
    "ring-other": lambda ink: edge_band(ink.roll(1, 0)),
    "ring-every": edge_band,
    "ink": lambda ink: ink,
    "ground": lambda ink: 1 - ink,
}


def teacher_of(train: Pictures) -> LeNet:
    """Trained on the same pictures without their colour, from a seed of its own."""
    grey = (127.5 * (without_colour(train.x, VIEW)[:, :1] + 1)).round().byte()
    net = LeNet(3, 10, (SIZE, SIZE))
    fit_on(net, Split(grey, train.labels), VIEW, SIZE, TEACHER_STEPS)
    return net


def targets(kind: Mask, pictures: Pictures, teacher: LeNet | None) -> Tensor:
    """(N, 1, 10, 10), or (N, 10, 10, 10) where every class has its own."""
    if teacher is None:
        found = drawn(SHAPES[kind](pictures.ink))
        return found.expand(-1, 10, -1, -1) if kind.endswith("every") else found
    parts = zip(pictures.x.split(1000), pictures.labels.split(1000), strict=True)
    return torch.cat(
        [
            maps(kind, teacher, teacher.features(without_colour(x, VIEW)), labels)
            for x, labels in parts
        ]
    )


def maps(kind: Mask, net: LeNet, features: Tensor, labels: Tensor) -> Tensor:
    """CAMs (B, 1 or 10, 10, 10) of what `kind` supervises."""
    if kind.endswith("every"):
        return cam(features, net.classifier.weight, None, normalization="minmax", epsilon=1e-8)
    one = cam(features, net.classifier.weight, labels, normalization="minmax", epsilon=1e-8)
    return one[:, None]


# ---------------------------------------------------------------------- a run


def run(args: ColorMaskSettings, kind: Mask, seed: int) -> list[dict[str, float]]:
    """What each epoch of phase 2 left."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    options = {"base": args.base, "variant": "learning-to-look"}
    options["jpeg"] = 75 if kind == "ring-jpeg" else 0
    splits = load("color-mnist", Path(args.data_root), **options).splits
    train = Pictures.of(splits["train"], args.pictures)
    held, test = Pictures.of(splits["validation"], 4000), Pictures.of(splits["test"])
    teacher = teacher_of(train) if kind.startswith("teacher") else None
    target, held_target = targets(kind, train, teacher), targets(kind, held, teacher)
    net = LeNet(3, 10, (SIZE, SIZE))
    alone = 0 if kind == "none" else args.attention_epochs
    weight = 0.0 if kind == "none" else args.weight

    def divergence(features: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        found = maps(kind, net, features, labels)
        return kl_alignment(found.flatten(0, 1), wanted.flatten(0, 1)).mean()

    report = []
    for epoch in range(alone + args.joint_epochs):
        if epoch in (0, alone):
            optimizer = torch.optim.SGD(net.parameters(), 1e-3, 0.98, weight_decay=1e-4)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 7, 0.1)
        ramp = weight * (1 + 0.1 * (epoch - alone))
        for index in torch.randperm(len(train.x)).split(BATCH):
            features, labels = net.features(train.x[index]), train.labels[index]
            loss = divergence(features, labels, target[index])
            if epoch >= alone:
                loss = F.cross_entropy(net.head(features), labels) + ramp * loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch >= alone:
            with torch.no_grad():
                off = divergence(net.features(held.x), held.labels, held_target).item()
            seen = {"test": accuracy(net, test), "validation": accuracy(net, held)}
            seen["optim_value"] = seen["validation"] * (1 - off)
            if teacher is not None:
                plain = test._replace(x=without_colour(test.x, VIEW))
                seen["teacher"] = accuracy(teacher, plain)
            report.append(seen)
    return report


@torch.no_grad()
def accuracy(net: LeNet, pictures: Pictures) -> float:
    parts = zip(pictures.x.split(1000), pictures.labels.split(1000), strict=True)
    return sum((net(x).argmax(1) == y).sum().item() for x, y in parts) / len(pictures.labels)


# ---------------------------------------------------------------------- all of them


def finished(args: ColorMaskSettings) -> dict[str, list[dict[str, float]]]:
    """By "kind, seed": what --out holds of runs with these settings."""
    file = Path(args.out)
    if not file.exists():
        return {}
    kept = json.loads(file.read_text())
    if kept["settings"] != settings(args):
        raise UserError(
            f"{args.out} holds runs of other settings, {kept['settings']}: take another --out"
        )
    return kept["runs"]


def settings(args: ColorMaskSettings) -> dict[str, object]:
    """What a run's result depends on."""
    others = ("masks", "seeds", "workers", "out", "data_root")
    return {name: value for name, value in asdict(args).items() if name not in others}


def table(args: ColorMaskSettings, runs: dict[str, list[dict[str, float]]]) -> Table:
    made = Table(title=f"ColorMNIST over {args.base}, colours reversed in the test")
    for heading in ("masks", "test, last epoch", "best epoch", "validation", "Optim Value"):
        made.add_column(heading, justify="left" if heading == "masks" else "right", no_wrap=True)
    for kind in args.masks:
        seeds = [runs[f"{kind}, {seed}"] for seed in range(1, args.seeds + 1)]
        columns = [[100 * epochs[-1]["test"] for epochs in seeds]]
        columns += [[100 * max(e["test"] for e in epochs) for epochs in seeds]]
        columns += [[100 * epochs[-1]["validation"] for epochs in seeds]]
        cells = [f"{spread(column)} %" for column in columns]
        made.add_row(kind, *cells, f"{mean(e[-1]['optim_value'] for e in seeds):.3f}")
    return made


def spread(values: list[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


@command(ColorMaskSettings, "python benchmarks/color_mnist_masks.py")
def main(args: ColorMaskSettings) -> int:
    for name in ("pictures", "joint_epochs", "seeds", "workers"):
        if getattr(args, name) < 1:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be 1 or more, got {getattr(args, name)}")
    load("color-mnist", Path(args.data_root), base=args.base)  # is it there?
    runs = finished(args)
    wanted = [(kind, seed) for seed in range(1, args.seeds + 1) for kind in args.masks]
    missing = [(kind, seed) for kind, seed in wanted if f"{kind}, {seed}" not in runs]
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        futures = {pool.submit(run, args, *job): job for job in missing}
        for future in track(as_completed(futures), "runs", len(futures), disable=not missing):
            kind, seed = futures[future]
            runs[f"{kind}, {seed}"] = future.result()
            text = json.dumps({"settings": settings(args), "runs": runs}, indent=1)
            write_text(Path(args.out), text)
    Console().print(table(args, runs))
    teachers = [epochs[-1]["teacher"] for epochs in runs.values() if "teacher" in epochs[-1]]
    if teachers:
        print(f"teachers: {100 * mean(teachers):.1f} % of the test right, without its colours")
    report(1)
    return 0


if __name__ == "__main__":
    run_command(main)
