"""Data larger than memory: what a run holds and how fast it learns, against the same in memory.

    python benchmarks/large_data.py                     # 20,000 images of 224 px, on two cores
    python benchmarks/large_data.py --images 300 --quick        # whether it works

Draws images (JPEG) and masks (PNG) into a temporary folder. Two processes read it as
`--data masked-folder` and learn from it with CAMAL: one with the set's pixels in files (what is
done above 2 GB), one with all of them in memory. They read at the same time, and learn in turns, so
that ratios hold on a busy machine, those by CPU time best (with --threads 1); an epoch in all, then
the validation that ends it, where both must come to the same loss to the digit. The network is as
small as can be (`small`), so that what surrounds it weighs most.

Memory is what a process holds that the system cannot drop: anonymous and shared pages (RssAnon and
RssShmem of /proc/self/status), looked at every 20 ms by a thread, the largest of all; Linux only.
Pages of files in the system's cache are not counted, nor is the code of libraries.
"""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from contest import Entry, working
from machine import report
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from rl_attn.run.cli import command, parse, run_command
from rl_attn.run.settings import Positive

if TYPE_CHECKING:
    from torch import nn

#: Seconds between looks at the memory.
LOOK = 0.02


@dataclass
class LargeData:
    """Memory and speed of a set that lies in files, against the same set in memory."""

    images: Positive[int] = 20_000
    """how many are drawn"""
    size: Positive[int] = 224
    """their side in pixels"""
    backbone: str = f"{__file__}:small"
    """the network; the smaller it is, the more reading weighs"""
    rounds: Positive[int] = 7
    """turns that an epoch is divided into, besides the first, which warms up"""
    batch_size: Positive[int] = 32
    """images a step"""
    threads: Positive[int] = 2
    """CPU threads of torch"""
    folder: str = ""
    """where the images are drawn (default: the temporary folder)"""
    quick: bool = False
    """both in this process: whether it works; memory and speed then mean nothing"""


@dataclass
class Read:
    """What a contender is told."""

    root: str
    backbone: str
    batch_size: int
    threads: int


class Memory(threading.Thread):
    """The most that this process held, in GB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(LOOK):
            self.most = max(self.most, held())


def held() -> float:
    """GB of this process that lie in no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(map(int, sizes)) * 1024 / 1e9


class Learner:
    """A trainer on the set. A chunk is a number of steps, or 0: the validation; either gives the
    loss and the memory so far."""

    def __init__(self, read: Read, in_files: bool):
        self.memory, self.left = Memory(), 0
        import torch

        from rl_attn.supervised.data import storage
        from rl_attn.supervised.run import build
        from rl_attn.supervised.settings import args_type

        torch.set_num_threads(read.threads)
        flags = ["--data", "masked-folder", "--data-root", read.root, "--method", "camal"]
        flags += ["--backbone", read.backbone, "--weights", "none", "--device", "cpu"]
        flags += ["--batch-size", str(read.batch_size), "--epochs", "1"]
        large, storage.LARGE = storage.LARGE, 0 if in_files else 2**62
        try:
            self.trainer = build(parse(args_type(flags), flags, ""), torch.device("cpu"))
        finally:
            storage.LARGE = large
        self.note = self.trainer.steps

    def run(self, count: int) -> tuple[float, float]:
        trainer, self.left = self.trainer, count
        if count:
            trainer.run_epoch(self)
            loss = trainer.sums["losses/total"].item() / trainer.seen
        else:
            loss = trainer.finish_epoch()["validation/losses/cross_entropy"]
        return loss, self.memory.most

    def __bool__(self) -> bool:
        """Asked after each step: whether these were enough."""
        self.left -= 1
        return self.left <= 0

    def close(self) -> None:
        self.memory.over.set()


def small(channels: int, classes: int) -> "nn.Module":
    """Patches of 8 x 8 pixels, a layer on each, and the mean of all: a backbone of --backbone."""
    from torch import nn

    patches = nn.Conv2d(channels, 16, 8, stride=8)
    cells = nn.Sequential(patches, nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU())
    return nn.Sequential(cells, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes))


def draw(root: Path, number: int, size: int) -> None:
    """Two classes: a bright or a dark disc, which the mask marks, on smooth noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(60, 190, (32, 8, 8, 3), np.uint8)
    grounds = [Image.fromarray(noise).resize((size, size)) for noise in coarse]
    for i in range(number):
        label, shade = (("dark", 20), ("bright", 235))[i % 2]
        image, mask = grounds[i // 2 % 32].copy(), Image.new("L", (size, size))
        x, y = random.integers(0, 3 * size // 4, 2).tolist()
        ImageDraw.Draw(mask).ellipse((x, y, x + size // 4, y + size // 4), 255)
        image.paste((shade,) * 3, mask=mask)
        for kind, drawn, name in (("images", image, f"{i}.jpg"), ("masks", mask, f"{i}.png")):
            file = root / kind / label / name
            file.parent.mkdir(parents=True, exist_ok=True)
            drawn.save(file)


def measure(args: LargeData, root: str) -> Table:
    """Both contenders in turns over an epoch."""
    entries = [
        Entry("in memory", "large_data:Learner", {"in_files": False}),
        Entry("in files", "large_data:Learner", {"in_files": True}),
    ]
    read = Read(root, args.backbone, args.batch_size, args.threads)
    seconds: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    ends: list[tuple[float, float]] = []
    with working(entries, read, args.quick) as workers:
        count = max(1, workers[0].note // (args.rounds + 1))
        for turn in range(args.rounds + 1):
            for i in (0, 1) if turn % 2 else (1, 0):
                workers[i].ask(count)
                spent, busy, _ = workers[i].answer()
                seconds[i] += [spent] if turn else []
                cpu[i] += [busy] if turn else []
        for worker in workers:
            worker.ask(0)
            ends.append(worker.answer()[2])
    if ends[0][0] != ends[1][0]:
        raise RuntimeError(f"the losses differ: {ends[0][0]} in memory, {ends[1][0]} in files")
    table = Table("", "GB held", "images/s", "of memory's", "by CPU time")
    for i, entry in enumerate(entries):
        speed = count * args.batch_size / median(seconds[i])
        shares = (shared(seconds[0], seconds[i]), shared(cpu[0], cpu[i]))
        table.add_row(entry.name, f"{ends[i][1]:.2f}", f"{speed:,.0f}", *shares)
    return table


def shared(base: list[float], own: list[float]) -> str:
    """The speed as a share of the baseline's, the median of the rounds."""
    return f"{median(theirs / mine for theirs, mine in zip(base, own, strict=True)):.2f}"


@command(LargeData, "python benchmarks/large_data.py")
def main(args: LargeData) -> int:
    with tempfile.TemporaryDirectory(dir=args.folder or None) as folder:
        draw(Path(folder), args.images, args.size)
        table = measure(args, folder)
    table.title = f"{args.images:,} images of {args.size} px"
    Console(width=100).print(table)
    report(args.threads)
    return 0


if __name__ == "__main__":
    run_command(main)
