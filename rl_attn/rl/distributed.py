"""One run over several devices: `torchrun --nproc-per-node 2 -m rl_attn.ppo ...`.

Each rank plays an equal share of the lanes and holds their part of the rollout; frames never leave
it. What a run does is what one rank with all lanes does, up to rounding:

- Seeds of episodes belong to a lane's number among all lanes. Every rank draws the action noise of
  all lanes and the same permutation of the whole rollout, from equal generators.
- A mini-batch is the same set of samples for any number of ranks. A rank learns from those of its
  own lanes, weighted by their `share` of the mini-batch, and gradients are *summed*. Shares differ
  a little (a mini-batch of 256 over 2 ranks: 128 +- 8), which the slowest rank pays for. Rewards,
  values and advantages are small and gathered, so advantages are normalised over the whole.
- Clipping, the KL stop and the look for NaN see the summed gradients and global means.
- A checkpoint holds all lanes in order and is the one a single rank writes, so a run may be resumed
  with another number of ranks, bit for bit with the same number.

With two groups of lanes (CUDA) a lane's action noise depends on the number of ranks.

A process on its own is `ALONE`, for which every method here returns what it was given. If a rank
dies, the collective calls of the others fail, and torchrun ends them.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.rl.entries import Entry, Log, entry

if TYPE_CHECKING:
    from rl_attn.rl.trainer import State

T = TypeVar("T")

#: The first rank evaluates while the others wait.
TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True)
class Ranks:
    """This process' place among those of the run."""

    rank: int = 0
    size: int = 1
    local: int = 0  # place on this machine
    on_this_machine: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    # ------------------------------------------------------------------ lanes

    def share_of(self, items: list[T]) -> list[T]:
        """Out of one item a lane of the run, those of this rank's lanes."""
        own = len(items) // self.size
        return items[self.rank * own : (self.rank + 1) * own]

    def own(self, chosen: Tensor, num_lanes: int) -> tuple[Tensor, Tensor, float]:
        """This rank's part of a mini-batch.

        Args:
            chosen: (B,) indices t * num_lanes + lane of the whole rollout.
            num_lanes: of all ranks.

        Returns:
            Those of this rank's lanes (b,), their indices within its own part of the rollout, and
            their share b / B. If there is none, one sample with a share of 0.
        """
        if self.size == 1:
            return chosen, chosen, 1.0
        own = num_lanes // self.size
        mine = chosen[chosen % num_lanes // own == self.rank]
        share = len(mine) / len(chosen)
        if not len(mine):
            mine = chosen.new_tensor([self.rank * own])
        local = mine // num_lanes * own + mine % num_lanes - self.rank * own
        return mine, local, share

    def all_lanes(self, tensor: Tensor) -> Tensor:
        """(T, lanes of this rank, ...) of every rank as (T, all lanes, ...)."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim=1)

    def exponential(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Exponential noise (lanes, actions) for this rank's lanes; draws that of all lanes."""
        noise = like.new_empty(len(like) * self.size, *like.shape[1:])
        noise.exponential_(generator=generator)
        return noise[self.rank * len(like) : (self.rank + 1) * len(like)]

    # ------------------------------------------------------------------ learning

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """The gradients of all ranks, added up."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def merged(self, logged: Log, share: float) -> dict[str, Entry]:
        """Entries of parts of a mini-batch as those of the whole, each as it says."""
        entries = {name: entry(value) for name, value in logged.items()}
        if self.size == 1:
            return entries
        rows = []  # (value * weight, weight), both to be added up
        for one in entries.values():
            value = one.value.detach().double()
            weight = torch.as_tensor(one.weight, device=value.device).double() * share
            rows.append(torch.stack([value * (share > 0 if one.summed else weight), weight]))
        totals = torch.stack(rows)
        dist.all_reduce(totals)
        return {
            name: Entry(_quotient(total, one.summed).float(), summed=one.summed)
            for (name, one), total in zip(entries.items(), totals, strict=True)
        }

    # ------------------------------------------------------------------ agreeing

    def gather(self, item: T) -> list[T]:
        """Any plain value of every rank, in order, on every rank."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items

    def chain(self, items: list[T]) -> list[T]:
        """Every rank's items as one list."""
        return list(chain.from_iterable(self.gather(items)))

    def any(self, condition: bool) -> bool:
        """Whether it holds on any rank: all ranks then do the same."""
        return any(self.gather(condition))

    def once(self, action: Callable[[], T]) -> T:
        """What the first rank's `action` returned; a UserError of it is raised on every rank."""
        outcome: list[Any] = [None, None]
        if self.first:
            try:
                outcome[0] = action()
            except UserError as error:
                outcome[1] = str(error)
        if self.size > 1:
            dist.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise UserError(outcome[1])
        return outcome[0]


def _quotient(total: Tensor, summed: bool) -> Tensor:
    """Of (value, weight): a sum as it is; a mean over no sample is zero, as on one rank."""
    value, weight = total
    return value if summed else torch.where(weight > 1e-9, value / weight, 0.0)


#: One process that is a run by itself.
ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks that torchrun started, connected within the block; `ALONE` without torchrun.

    Only the first rank's words reach standard output, and its UserErrors standard error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    try:
        ranks = Ranks(*(int(os.environ[name]) for name in names))
    except KeyError as missing:
        raise UserError(f"WORLD_SIZE is set and {missing} is not: start with torchrun") from None
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local % torch.cuda.device_count())
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(sys.stdout if ranks.first else nowhere),
        ):
            yield ranks
    except UserError:
        if ranks.first:
            raise
        raise SystemExit(2) from None
    finally:
        dist.destroy_process_group()


def own_device(name: str, ranks: Ranks) -> str:
    """The device of this rank: "auto" and "cuda" are a GPU each where there are enough."""
    if ranks.size == 1:
        return name
    if name.startswith("cuda:"):
        raise UserError(f"--device {name} is one device for {ranks.size} ranks: say cuda")
    count = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and count == 0):
        return "cpu"
    if ranks.on_this_machine > count and name in ("auto", "cuda"):
        raise UserError(
            f"{ranks.on_this_machine} ranks on this machine and {count} CUDA device(s): lower "
            "--nproc-per-node, or take --device cpu"
        )
    return f"cuda:{ranks.local}" if name in ("auto", "cuda") else name


def check_lanes(num_envs: int, ranks: Ranks) -> None:
    """Every rank plays as many lanes as any other."""
    if num_envs % ranks.size:
        raise UserError(f"--num-envs {num_envs} does not divide into {ranks.size} ranks")


def split_lanes(state: "State", ranks: Ranks) -> "State":
    """Of a checkpoint, what this rank continues: all of it, but its own lanes only."""
    lanes = state["lanes"] | {"lanes": ranks.share_of(state["lanes"]["lanes"])}
    own = len(lanes["lanes"])
    part = slice(ranks.rank * own, (ranks.rank + 1) * own)
    mine = state.copy()
    mine["lanes"], mine["frames"], mine["age"] = lanes, state["frames"][:, part], state["age"][part]
    if "masks" in state:
        mine["masks"] = state["masks"][:, part]
    return mine
