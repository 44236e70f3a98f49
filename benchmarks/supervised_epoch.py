"""How fast LeNet learns with its attention supervised, against the loop that one writes first.

    python benchmarks/supervised_epoch.py                     # ours against the other
    python benchmarks/supervised_epoch.py --profile           # where our time goes, instead
    python benchmarks/supervised_epoch.py --roofline          # what a step must cost, by parts
    python benchmarks/supervised_epoch.py --seeds --device cuda
    uv pip install lightning                                  # its loop then joins in

The straightforward loop takes batches from a DataLoader, transforms them with torchvision, reads
the feature maps by a hook and asks for the loss after every step. Ours keeps the set on the device
as bytes, brings pictures to size and masks to the map's grid once, has a fused optimiser, computes
channels last on a CPU, takes the maps between the network's halves, and leaves grey pictures that
are read as RGB one channel up to the first convolution. A table's runs do not wait
for each other (`supervised.compare --workers 2`): with a run of one thread on each core, an epoch's
time is that of as many epochs at once, divided by their number. "The same step by hand" is what no
loop can leave out (`lenet_by_hand.py`): the straightforward loop's time over its time is the most
that a single run could gain. With --seeds: five seeds as one batched model against five in turn.

Where a step goes, in ms of CPU time (thread_time; of 360 steps the one that 10 % are faster than;
one thread of a busy Xeon, so for comparison only), before the last three of these:

                        ours   straightforward
    pictures, masks     0.52              1.53
    forward             3.05              2.18
    map and losses      0.82              0.52
    backward            3.43              3.11
    optimiser           0.60              0.55
    logs                0.15              0.01
    sum                 8.57              7.90

Channels last took forward, losses and backward together from 10.3 to 8.8 (median; 9.0 to 7.8 at
best); the hooks of a tap were 0.2 to 0.6 of a forward; one channel in place of three took a step
from 6.5 to 5.7 (the best of 12 times 30 steps). What surrounds the network gives no factor
of 2: about seven tenths of a step are convolutions and max-pooling, which both loops share. For
those the following were tried and not faster once autograd runs them: conv1 as a block-wise matrix
product (three times as fast alone), pooling by amax, maximum or where, convolution of pictures
folded into channels, torch's own convolution in oneDNN's place.

torch.compile and bf16 do not help either. Forward, losses and backward alone, on one thread, as
above but of 150 steps the one that 5 % are faster than, in ms: as it comes 5.1, channels last 4.4,
that in bf16 4.4; compiled 4.5, compiled channels last 4.4, compiled with pooling as a maximum of
slices 16, compiled with convolutions as matrix products 14. Compiling took 60 CPU-seconds.

Each has a process of its own; they are measured in turns (see `contest.py`), so ratios hold on a
machine that is busy with other things. An epoch is 60,000 pictures, MNIST's.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

import torch
from classifiers import Ours
from contest import Entry, chosen, compete
from lenet_by_hand import ByHand, peak_rates
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from workload import Classifiers

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.device import pick_device

SINGLE = (
    Entry("straightforward loop", "classifiers:Straightforward"),
    Entry("supervised.train", "classifiers:Ours"),
    Entry("straightforward, a run on each core", "classifiers:StraightforwardOnEachCore"),
    Entry("supervised.train, a run on each core", "classifiers:OnEachCore"),
    Entry("the same step by hand", "lenet_by_hand:ByHand"),  # on a CPU only
)
SEEDS = (
    Entry("five runs in turn", "classifiers:FiveRuns"),
    Entry("one batched model", "classifiers:FiveSeeds"),
)
EPOCH = 60_000


@dataclass
class EpochSettings(Classifiers):
    """Measure an epoch of LeNet with Learning to Look's joint loss."""

    seeds: bool = False
    """five seeds batched against five in turn"""
    profile: bool = False
    """show where our time goes, and measure nothing"""
    roofline: bool = False
    """show what the parts of a step must cost on this CPU: operations, bytes, time"""
    steps: int = 100
    """of a chunk"""
    rounds: int = 7
    """chunks of each contender"""
    only: tuple[str, ...] = ()
    """contenders to measure beside the first, by name (default: all)"""


def show_profile(args: EpochSettings) -> None:
    """The operations that take longest, by their own time."""
    ours = Ours(args)
    ours.run(args.steps)
    activities = [ProfilerActivity.CPU]
    if args.device.startswith("cuda"):
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as measured:
        ours.run(args.steps)
    print(measured.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))


def roofline(args: EpochSettings) -> Table:
    """The parts of a step by hand, beside what a large matrix multiplication and a copy reach."""
    by_hand = ByHand(args)
    by_hand.run(args.steps)
    for part in by_hand.parts:
        part.seconds = 0.0
    by_hand.run(args.steps * args.rounds)
    headings = ("us", "MFLOP", "MB", "GFLOP/s", "GB/s")
    product, copy = peak_rates()
    title = (
        f"torch {torch.__version__}; a large matrix multiplication: {product:.0f} GFLOP/s, a copy: "
    )
    table = Table("", *headings, title=title + f"{copy:.1f} GB/s")
    count = args.steps * args.rounds
    for part in by_hand.parts:
        seconds = part.seconds / count
        table.add_row(
            part.name,
            f"{1e6 * seconds:,.0f}",
            f"{part.megaflop:.2f}" if part.megaflop else "",
            f"{part.megabyte:.2f}" if part.megabyte else "",
            f"{part.megaflop / seconds / 1e3:.1f}" if part.megaflop else "",
            f"{part.megabyte / seconds / 1e3:.1f}" if part.megabyte else "",
        )
    whole = sum(part.seconds for part in by_hand.parts) / count
    table.add_row("all", f"{1e6 * whole:,.0f}")
    return table


def entries(args: EpochSettings) -> list[Entry]:
    """Those asked for, of those that can be had."""
    found = [*(SEEDS if args.seeds else SINGLE)]
    if not args.seeds and args.device != "cpu":
        found.pop()
    if not args.seeds and find_spec("lightning") is not None:
        found.append(Entry("Lightning's loop", "classifiers:LightningLoop"))
    return chosen(found, args.only)


def measure(args: EpochSettings) -> Table:
    """Seconds an epoch, and the time relative to the first entry."""
    headings = ("s / epoch", "smallest", "largest", "time", "peak MiB", "start CPU s")
    table = Table("", *headings, title=f"torch {torch.__version__}")
    per_epoch = EPOCH / (args.steps * args.batch_size)
    for result in compete(entries(args), args, args.steps, args.rounds):
        seconds = [per_epoch * value for value in result.seconds]
        cells = [median(seconds), min(seconds), max(seconds)]
        cost = (f"{result.peak_mib:,.0f}", f"{result.start_cpu_seconds:.1f}")
        shown = (f"{cell:.2f}" for cell in cells)
        table.add_row(result.name, *shown, f"{result.time:.2f}x", *cost)
    return table


@command(EpochSettings, "python benchmarks/supervised_epoch.py")
def main(args: EpochSettings) -> int:
    for name in ("batch_size", "steps", "rounds", "threads"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be positive")
    if args.roofline and args.device != "cpu":
        raise UserError(f"--roofline is of the CPU, not of {args.device}: leave --device out")
    pick_device(args.device)
    if args.profile:
        show_profile(args)
    elif args.roofline:
        Console(width=100).print(roofline(args))
    else:
        Console(width=100).print(measure(args))
    return 0


if __name__ == "__main__":
    run_command(main)
