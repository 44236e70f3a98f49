"""What it costs to train a classifier's attention, against the libraries people use for it.

    python benchmarks/attribution.py                     # everything
    python benchmarks/attribution.py --backbones resnet18 vit_b_16 --rounds 9 --json costs.json
    python benchmarks/attribution.py --no-stages --only CAMAL       # CAMAL's Table 6, steps alone
    python benchmarks/attribution.py --backbones resnet18 --no-stages --batch 1 4 16 64 \\
        --only CAMAL "one backward a sample"                         # its Fig. 2, over batch size

For ResNet-18 tapped at each of its stages, with GroupNorm (with BatchNorm above the tap one product
for the batch and one a sample are not the same map), and for the paper's six backbones at their
standard tap; the first row of each section is the baseline, a training step on cross-entropy alone:

- CAMAL: Grad-CAM from the task's own forward, by one product for the whole batch.
- CAMAL, first order: the map's channel weights are constants, as in Captum's map.
- one product a sample: the same map by B products, batched (`--batch-maps per-sample`).
- one backward a sample: the same map by B backwards.
- Captum: `LayerGradCam`, which runs a forward of its own; and with `create_graph` as well, without
  which its map trains nothing above the tap. It takes feature maps (B, K, h, w) alone, so tokens
  and channels-last layouts are turned into them for it.
- pytorch-grad-cam: `GradCAM` beside the training step. Its maps are NumPy arrays and train nothing:
  what is compared is the time to make them.

Every contender has a process of its own, and they are measured in turns (see `contest.py`). Times
are medians over the rounds of the ratio to the baseline of the same round; CPU time is steadier
where a machine is busy with other things, and less 1 it is what the map and its loss add to a step.
"operations" are those of convolutions and matrix products, counted, which no noise moves. The
peak memory is the whole process', torch's libraries included. "gradient above" is measured:
whether a loss on the map alone reaches weights above the tap.

Table 6 of the CAMAL paper, of whole trainings at 224 pixels on a GPU: 1.0-5.0 % more time for
ResNets, 51-73 % for the others. MaxViT takes no pictures but 224 pixels, and is given fewer.

Needs Captum and pytorch-grad-cam, which `uv sync` installs with the development tools.
"""

import sys
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from itertools import product
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any, Literal

from contest import Entry, Result, chosen, compete
from machine import num_cores, report
from rich.console import Console
from rich.table import Table

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command

CONTENDERS = (
    Entry("cross-entropy alone", "attribution_steps:Plain"),
    Entry("CAMAL", "attribution_steps:Camal"),
    Entry("CAMAL, first order", "attribution_steps:FirstOrder"),
    Entry("one product a sample", "attribution_steps:PerSample"),
    Entry("one backward a sample", "attribution_steps:BySample"),
    Entry("Captum", "attribution_steps:Captum"),
    Entry("Captum, create_graph", "attribution_steps:CaptumCreateGraph"),
    Entry("pytorch-grad-cam", "attribution_steps:PytorchGradCam"),
)

Backbone = Literal[
    "resnet18", "convnext_tiny", "efficientnet_b0", "vit_b_16", "swin_v2_t", "maxvit_t"
]
BACKBONES: tuple[Backbone, ...] = Backbone.__args__
#: ResNet-18's stages below its standard tap, layer4.
STAGES = ("layer3", "layer2", "layer1")
MAXVIT_PIXELS = 224


@dataclass
class AttributionSettings:
    """Measure training steps with attention against plain ones and other libraries'."""

    backbones: list[Backbone] = field(default_factory=lambda: list(BACKBONES))
    """torchvision's networks, at their standard taps"""
    stages: bool = True
    """tap resnet18, if it is among them, at its earlier stages too"""
    rounds: int = 5
    """how many times each contender is measured"""
    steps: int = 2
    """training steps in a chunk"""
    pixels: int = 64
    """height and width of the pictures, a multiple of 32 (MaxViT: always 224)"""
    batch: list[int] = field(default_factory=lambda: [16])
    """pictures in a batch; of several sizes each is measured"""
    maxvit_batch: int = 4
    """the same for MaxViT, for the sake of time and memory"""
    threads: int = 0
    """CPU threads of torch, the same for all (0: as many as cores)"""
    only: tuple[str, ...] = ()
    """contenders to measure beside the baseline, by name (default: all)"""
    json: str | None = None
    """file to write the numbers to"""


def validate(args: AttributionSettings) -> None:
    """Refuse what cannot work, before any process starts."""
    whole = {name: getattr(args, name) for name in ("rounds", "steps", "maxvit_batch")}
    for name, value in {**whole, "batch": min(args.batch, default=0)}.items():
        if value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if args.threads < 0:
        raise UserError(f"--threads must be 0 or more, got {args.threads}")
    if args.pixels < 64 or args.pixels % 32:
        raise UserError(f"--pixels must be a multiple of 32 from 64 on, got {args.pixels}")
    chosen(CONTENDERS, args.only)
    if not args.backbones:
        raise UserError(f"--backbones needs at least one of {', '.join(BACKBONES)}")
    missing = [name for name in ("captum", "pytorch_grad_cam") if find_spec(name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} needed: uv sync, or pip install captum grad-cam")
    if args.json is not None and not Path(args.json).absolute().parent.is_dir():
        raise UserError(f"--json {args.json}: that folder does not exist")


def sections(args: AttributionSettings) -> dict[str, dict[str, Any]]:
    """Heading of each section -> the fields of its `attribution_steps.Case`."""
    found = {}
    for backbone in args.backbones:
        maxvit = backbone == "maxvit_t"
        pixels = MAXVIT_PIXELS if maxvit else args.pixels
        batches = [args.maxvit_batch] if maxvit else args.batch
        stages = STAGES if backbone == "resnet18" and args.stages else ()
        for layer, batch in product((None, *stages), batches):
            where = "standard tap" if layer is None else layer
            heading = f"{backbone}, {where}, {batch} x {pixels} px"
            found[heading] = {
                "backbone": backbone,
                "layer": layer,
                "pixels": pixels,
                "batch": batch,
                "threads": args.threads,
                "group_norm": layer is not None,
            }
    return found


# ---------------------------------------------------------------------- the numbers


def measure(case: dict[str, Any], args: AttributionSettings) -> list[dict[str, Any]]:
    """One row a contender, as it is written to the JSON file."""
    from attribution_steps import Case  # loads torch and the libraries

    results = compete(chosen(CONTENDERS, args.only), Case(**case), args.steps, args.rounds)
    return [numbers(result, results[0], args.steps) for result in results]


def numbers(result: Result, baseline: Result, steps: int) -> dict[str, Any]:
    """A contender's row; `baseline` is its section's."""
    return {
        "contender": result.name,
        "seconds_a_step": median(result.seconds) / steps,
        "relative_time": result.time,
        "relative_cpu_time": result.cpu_time,
        "relative_memory": _known(result.peak_mib / baseline.peak_mib),
        "peak_memory_mib": _known(result.peak_mib),
        "gradient_above": result.note[0],
        "relative_operations": result.note[1] / baseline.note[1],
        "rounds": {
            "seconds": result.seconds,
            "cpu_seconds": result.cpu_seconds,
            "relative_time": result.times,
            "relative_cpu_time": result.cpu_times,
        },
    }


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def table(measured: dict[str, list[dict[str, Any]]]) -> Table:
    """All sections as one table."""
    caption = "time, CPU, memory: relative to the section's first row"
    shown = Table("contender", caption=caption)
    for heading in ("s/step", "time", "CPU", "operations", "memory"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("gradient above", no_wrap=True)
    for heading, rows in measured.items():
        shown.add_section()
        shown.add_row(f"[bold]{heading}[/bold]")
        for row in rows:
            shown.add_row(
                f"  {row['contender']}",
                f"{row['seconds_a_step']:.3g}",
                _ratio(row["relative_time"]),
                _ratio(row["relative_cpu_time"]),
                _ratio(row["relative_operations"]),
                _ratio(row["relative_memory"]),
                row["gradient_above"],
            )
    return shown


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


# ---------------------------------------------------------------------- the program


@command(AttributionSettings, "python benchmarks/attribution.py")
def main(args: AttributionSettings) -> int:
    validate(args)
    args = replace(args, threads=args.threads or num_cores())
    measured = {}
    for heading, case in sections(args).items():
        print(f"measuring {heading} ...", file=sys.stderr, flush=True)
        measured[heading] = measure(case, args)
    # Wide enough for a log file; a terminal narrower than this wraps.
    console = Console(width=max(112, Console().width), highlight=False)
    console.print(table(measured))
    file = None if args.json is None else Path(args.json)
    report(args.threads, file, settings=asdict(args), sections=measured)
    return 0


if __name__ == "__main__":
    run_command(main)
