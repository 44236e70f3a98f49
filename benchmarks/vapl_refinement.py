"""What VAPL's refinement of a prompt costs: ResNet-18, one picture of 224 pixels, N = 5,000 masks.

    python benchmarks/vapl_refinement.py                   # up to four minutes on one core
    python benchmarks/vapl_refinement.py --run RUN         # and how far fewer masks go, on a run

- in batches: `rl_attn.attention.rise`, masks drawn a block at a time, the network in bf16 where the
  hardware is fast at it;
- one mask at a time: the loop that Eq. 1 spells out, in fp32 and in the precision of the batches.
  Measured on the first `--loop-masks` masks and scaled to all: it is the same work for each.

Both give the same A, which is checked on the masks of the loop. Memory is the process' peak above
what it held before, for N and for a tenth of it: it must not grow with N.

With --run, a finished run of vapl: the mean share of masks that `--tolerance` takes and the mean
distance of its A (Eq. 3, not normalised, on undecided pixels) from that of all masks, over test
pictures.
"""

import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from machine import report
from torch import Tensor
from torchvision.models import resnet18

from rl_attn.attention import UNDECIDED, RandomMasks, masked, score_masks, weighted_mean
from rl_attn.run.cli import command, run_command
from rl_attn.run.device import pick_precision
from rl_attn.supervised.batches import Batches
from rl_attn.supervised.network import Network
from rl_attn.supervised.prompts import Annotator, encode
from rl_attn.supervised.steering import Steered


@dataclass
class RefinementSettings:
    """Time the refinement of one prompt."""

    masks: int = 5000
    """N"""
    loop_masks: int = 100
    """of these, how many the loop is timed on"""
    size: int = 224
    """side of the picture"""
    chunk: int = 16
    """pictures a forward; a CPU's default at this size"""
    threads: int = 1
    """CPU threads of torch"""
    run: str | None = None
    """folder of a finished run of vapl, for the adaptive number of masks"""
    run_masks: int = 5000
    """N there"""
    tolerance: float = 0.02
    """standard error of A there"""
    pictures: int = 8
    """of the test there"""


def peak() -> float:
    """MiB of this process so far, at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def confidence(network: Network, label: int):
    return lambda x, rows: network.plain(x).logits.softmax(1)[:, label]


def in_batches(network: Network, picture: Tensor, prompt: Tensor, masks: RandomMasks, chunk: int):
    scores = score_masks(confidence(network, 0), picture, masks, prompt, chunk=chunk)
    return scores.values, weighted_mean(scores, masks, prompt)


@torch.no_grad()
def one_by_one(network: Network, picture: Tensor, prompt: Tensor, masks: RandomMasks, number: int):
    """The first masks' scores (number,) and the seconds they took, drawing not counted."""
    found, seconds, score_of = [], 0.0, confidence(network, 0)
    for block in masks:
        for mask in block[: number - len(found)]:
            start = time.perf_counter()
            found.append(score_of(masked(picture, mask[None], prompt), None))
            seconds += time.perf_counter() - start
        if len(found) == number:
            return torch.cat(found), seconds
    raise ValueError(f"{number} masks of {len(masks)}")


def refinement(args: RefinementSettings) -> None:
    torch.manual_seed(0)
    precision = pick_precision("auto", torch.device("cpu"))
    model = resnet18(num_classes=2).to(memory_format=torch.channels_last).eval()
    fast, plain = (Network(model, "layer4", kind) for kind in (precision, "fp32"))
    picture = torch.randn(1, 3, args.size, args.size).to(memory_format=torch.channels_last)
    prompt = torch.full((1, args.size, args.size), UNDECIDED, dtype=torch.int8)
    side = args.size // 4
    prompt[:, :side], prompt[:, side : 2 * side, :side] = 0, 1
    size = (args.size, args.size)
    few = RandomMasks(max(1, args.masks // 10), size, None, 0.1, balanced=True)
    masks = RandomMasks(args.masks, size, None, 0.1, balanced=True)
    number = min(args.loop_masks, args.masks)
    one_by_one(fast, picture, prompt, masks, 1)  # warm
    kinds = {kind.precision: kind for kind in (plain, fast)}
    loops = {k: one_by_one(kind, picture, prompt, masks, number) for k, kind in kinds.items()}
    held = peak()
    in_batches(fast, picture, prompt, few, args.chunk)
    memory_of_few, start = peak() - held, time.perf_counter()
    scores, _ = in_batches(fast, picture, prompt, masks, args.chunk)
    seconds = time.perf_counter() - start
    print(f"N = {args.masks:,} in batches of {args.chunk}, {precision}: {seconds:.1f} s")
    print(f"  memory +{peak() - held:.0f} MiB (for a tenth of N: +{memory_of_few:.0f} MiB)")
    for kind, (found, took) in loops.items():
        whole = took / number * args.masks
        off = (scores[:number, 0] - found).abs().max()
        print(
            f"one mask at a time, {kind}: {whole:.1f} s (from {number} masks), "
            f"{whole / seconds:.2f}x the batches; scores differ by {off:.4f} at most"
        )


def adaptive(args: RefinementSettings) -> None:
    steered = Steered(Path(args.run), torch.device("cpu"))
    method, split = steered.method, steered.test.split[: args.pictures]
    made = Annotator()(split.masks, torch.Generator().manual_seed(0))
    batches = Batches(replace(split, masks=encode(made)), steered.view)
    (batch,) = batches.in_order(args.pictures)
    labels = method.refinement.guess(method.prompted, batch.pictures, made)
    all_masks = replace(method.refinement, masks=args.run_masks, tolerance=0.0)
    drawn = all_masks.draw(tuple(made.shape[1:]), 0)
    maps, used = [], []
    for refinement in (all_masks, replace(all_masks, tolerance=args.tolerance)):
        scores = refinement.scores(
            method.prompted, batch.pictures, made, labels, drawn, method.weigh
        )
        with torch.no_grad():
            maps.append(weighted_mean(scores, drawn, made, method.weigh))
        used.append(scores.used.float().mean().item())
    where = made == UNDECIDED
    distance = (maps[0] - maps[1]).abs()[where]
    print(
        f"tolerance {args.tolerance:g}: {used[1]:.0f} of {used[0]:.0f} masks on average "
        f"({used[1] / used[0]:.1%}), A differs by {distance.mean():.4f} on average, "
        f"{distance.quantile(0.99):.4f} at the 99th percentile"
    )


@command(RefinementSettings, "python benchmarks/vapl_refinement.py")
def main(args: RefinementSettings) -> int:
    torch.set_num_threads(args.threads)
    report(args.threads)
    refinement(args)
    if args.run:
        adaptive(args)
    return 0


if __name__ == "__main__":
    run_command(main)
