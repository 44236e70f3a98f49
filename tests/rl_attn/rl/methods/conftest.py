"""A tiny agent, frames of a bright target on noise, and a method that learns from them alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn

from rl_attn.agents import Network, Output, RolloutStorage
from rl_attn.rl.batch import Batch
from rl_attn.rl.distributed import ALONE
from rl_attn.rl.methods import METHODS, Context
from rl_attn.rl.settings import AgentSettings

SIZE, STACK = 16, 2


class Small(Network):
    """4x4 cells of 4x4 pixels each; linear heads on all of them."""

    def __init__(self, in_channels: int = STACK):
        super().__init__(in_channels, (SIZE, SIZE), 3)
        self.cell = nn.Conv2d(in_channels, 8, 4, stride=4)
        self.actor, self.critic = self.head.layer(8 * 16), nn.Linear(8 * 16, 1)

    def forward(self, frames, shift=False):
        features = self.cell(frames.float() / 255).relu()
        hidden = features.flatten(1)
        return Output(self.head(self.actor(hidden)), self.critic(hidden)[:, 0], features)


def filled(steps: int = 8, lanes: int = 4, channels: int = 1) -> RolloutStorage:
    """A rollout of dim noise with a bright 4x4 target in one of the 16 cells, which is its mask."""
    storage = RolloutStorage(steps, lanes, (SIZE, SIZE, channels), STACK)
    random = torch.Generator().manual_seed(1)
    storage.frames.random_(0, 100, generator=random)
    for row in range(steps + STACK):
        for lane in range(lanes):
            top, left = (4 * torch.randint(0, 4, (2,), generator=random)).tolist()
            storage.frames[row, lane, top : top + 4, left : left + 4] = 250
            storage.all_masks[row, lane, top : top + 4, left : left + 4] = 1
    storage.age[:] = STACK - 1
    return storage


class Toy:
    """The agent, the method, and a rollout that it learns from."""

    def __init__(self, name: str, target: Literal["value", "action"] = "value", **options: object):
        torch.manual_seed(0)
        self.agent, self.storage = Small(), filled()
        settings = AgentSettings(frame_stack=STACK, attention_target=target)
        self.random = torch.Generator().manual_seed(0)
        self.targets = None
        self.method = METHODS[name](**options)
        self.method.context = Context(self.agent, settings, torch.device("cpu"), ALONE, self.random)

    def ready(self) -> "Toy":
        self.method.prepare()
        module = self.method.module()
        own = [] if module is None else list(module.parameters())
        self.parameters = [*self.agent.parameters(), *own]
        self.targets, self.logged = self.method.rollout(self.storage)
        return self

    def batch(self) -> Batch:
        """All samples of the rollout."""
        steps, lanes = self.storage.num_steps, self.storage.num_lanes
        rows = self.storage.rows(slice(0, steps), slice(None)).flatten(0, 1)
        masks, none = self.storage.mask_stacks(rows), torch.zeros(steps * lanes)
        stacks, actions = self.storage.stacks(rows), torch.zeros(steps * lanes, dtype=torch.int64)
        given = (stacks, masks, actions, none, none, none, none, none)
        batch = Batch(*given, targets=self.targets, shown=stacks)
        return replace(batch, shown=self.method.shown(batch))

    def loss(self) -> tuple[torch.Tensor, dict]:
        batch = self.batch()
        output = self.method.judged(self.agent(batch.shown), batch.stacks, batch.masks)
        return self.method.loss(self.agent, output, batch)

    def train(self, steps: int = 60) -> None:
        """By the method's loss alone."""
        optimizer = torch.optim.Adam(self.parameters, lr=3e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            self.loss()[0].backward()
            optimizer.step()


@pytest.fixture
def toy() -> Callable[..., Toy]:
    """`toy("drac", drac=1.0)`: ready to learn."""
    return lambda name, **options: Toy(name, **options).ready()


@pytest.fixture
def unprepared() -> Callable[..., Toy]:
    """The same before `prepare`."""
    return Toy
