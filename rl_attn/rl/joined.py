"""Several methods as one: `--method camal+drac`.

Flags are those of all of them. Their losses add up; `observe`, `shown` and `judged` go through them
in the order of the names, and every loss is given what the agent was shown in the end. Methods that
do not go together say so (`Method.refuses`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.errors import UserError
from rl_attn.rl.methods.base import Method, Phase

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log
    from rl_attn.rl.settings import AgentSettings


@dataclass
class Joined(Method):
    """Every hook asks the parts."""

    kinds: ClassVar[dict[str, type[Method]]] = {}

    @cached_property
    def parts(self) -> dict[str, Method]:
        return {
            name: kind(**{field.name: getattr(self, field.name) for field in fields(kind)})
            for name, kind in self.kinds.items()
        }

    @property
    def attends(self) -> bool:
        return any(part.attends for part in self.parts.values())

    @property
    def capturable(self) -> bool:
        return all(part.capturable for part in self.parts.values())

    @property
    def shows(self) -> bool:
        return any(part.shows for part in self.parts.values())

    @property
    def judges(self) -> bool:
        return any(part.judges for part in self.parts.values())

    def channels(self, channels: int, stack: int) -> int:
        for part in self.parts.values():
            channels = part.channels(channels, stack) // stack
        return stack * channels

    def check(self, settings: AgentSettings) -> None:
        for part in self.parts.values():
            part.check(settings)
        pairs = permutations(enumerate(self.parts.items()), 2)
        for (place, (name, part)), (other_place, (other, beside)) in pairs:
            if reason := part.refuses(beside, before=other_place < place):
                raise UserError(
                    f"--method {settings.method}: {name} does not go with {other}: {reason}"
                )

    def check_training(self, settings: AgentSettings) -> None:
        for part in self.parts.values():
            part.check_training(settings)

    def prepare(self) -> None:
        for part in self.parts.values():
            object.__setattr__(part, "context", self.context)  # a ClassVar
            part.prepare()

    def module(self) -> nn.Module | None:
        from torch import nn

        modules = {name: part.module() for name, part in self.parts.items()}
        own = {name: module for name, module in modules.items() if module is not None}
        return nn.ModuleDict(own) if own else None

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        for part in self.parts.values():
            stacks = part.observe(stacks, masks, phase)
        return stacks

    def shown(self, batch: Batch) -> Tensor:
        stacks = batch.stacks
        for name, part in sorted(self.parts.items(), key=lambda item: item[1].last):
            stacks = part.shown(replace(batch, stacks=stacks, targets=batch.targets.of[name]))
        return stacks

    def judged(self, output: Output, stacks: Tensor, masks: Tensor) -> Output:
        for part in self.parts.values():
            output = part.judged(output, stacks, masks)
        return output

    def rollout(self, storage: RolloutStorage) -> tuple[Targets, dict[str, float]]:
        targets, logged = {}, {}
        for name, part in self.parts.items():
            targets[name], more = part.rollout(storage)
            logged |= more
        return Targets(targets), logged

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor | None, Log]:
        total, logged = None, {}
        for name, part in self.parts.items():
            own = replace(batch, targets=batch.targets.of[name])
            loss, more = part.loss(agent, output, own)
            if loss is not None:
                total = loss if total is None else total + loss
            logged |= more
        return total, logged

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])

    def close(self) -> None:
        for part in self.parts.values():
            part.close()


@dataclass
class Targets:
    """Each method's own targets, indexed together by samples."""

    of: dict[str, Any]

    def __getitem__(self, rows: Any) -> Targets:
        return Targets({k: None if v is None else v[rows] for k, v in self.of.items()})


def join(name: str, kinds: dict[str, type[Method]]) -> type[Joined]:
    """The method of that name, made of these; a UserError if they do not go together."""
    needs_masks = any(kind.needs_masks for kind in kinds.values())
    own = {"kinds": kinds, "needs_masks": needs_masks}
    try:
        made = make_dataclass(name, [], bases=(Joined, *kinds.values()), namespace=own)
    except TypeError:  # one of them is a kind of another
        raise UserError(
            f"--method {name}: one of these includes the other, name that alone"
        ) from None
    made.__doc__ = f"Train a PPO agent with {' and '.join(kinds)}."
    return made
