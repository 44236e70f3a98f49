"""What an actor-critic owes: one forward gives the policy, the value, and the maps behind them.

    @NETWORKS.register("mine")
    class Mine(Network):
        \"\"\"A convolution and two heads.\"\"\"

        def __init__(self, in_channels, frame_size, actions, tap=""):
            super().__init__(in_channels, frame_size, actions, tap)
            self.layers = nn.Sequential(nn.Conv2d(in_channels, 32, 8, stride=4), nn.ReLU())
            self.actor, self.critic = self.head.layer(32), nn.Linear(32, 1)

        def forward(self, frames, shift=False):
            features = self.layers(frames / 255)                     # (B, K, h, w)
            hidden = features.mean(dim=(2, 3))
            return Output(self.head(self.actor(hidden)), self.critic(hidden)[:, 0], features)

Letters: B samples, S stacked frames, C channels a frame, K feature maps of h x w cells.
"""

from functools import cached_property
from typing import NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from rl_attn.agents.heads import Policy, head_of
from rl_attn.attention import Cells, find_cells


class Output(NamedTuple):
    policy: Policy  # of B samples, float32
    value: Tensor  # (B,) float32
    features: Tensor  # (B, K, h, w), the tapped layer's activations
    shift: Tensor | None = None  # (B, K) zeros that were added to every cell, see `forward`

    @property
    def logits(self) -> Tensor:
        """(B, P): the policy's parameters, which for Discrete actions are logits."""
        return self.policy.parameters

    def detach(self) -> "Output":
        return Output(*(None if t is None else t.detach() for t in self))


class Network(nn.Module):
    """Base class of actor-critics; see the head of this file."""

    #: Names of the layers that can be tapped; the last one is the default.
    TAPS: tuple[str, ...] = ("",)

    def __init__(
        self,
        in_channels: int,
        frame_size: tuple[int, int],
        actions: gymnasium.Space | int,
        tap: str = "",
    ):
        """
        Args:
            in_channels: S*C, stacked frames times channels a frame.
            frame_size: (H, W) in pixels.
            actions: the action space, which `self.head` is for; a number is that of a Discrete one.
            tap: whose feature maps the forward gives; "": the network's standard.
        """
        super().__init__()
        self.in_channels, self.frame_size = in_channels, frame_size
        space = gymnasium.spaces.Discrete(actions) if isinstance(actions, int) else actions
        self.head = head_of(space)
        self.tap = tap or self.TAPS[-1]

    def forward(self, frames: Tensor, shift: bool = False) -> Output:
        """
        Args:
            frames: (B, S*C, H, W) uint8.
            shift: also give a zero (B, K) that is added to every cell of the features, if the
                network has one: the value's gradient by it is the sum over cells that `grad_cam`
                needs. None makes no difference but in speed.
        """
        raise NotImplementedError

    @cached_property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the feature maps."""
        frames = torch.zeros(1, self.in_channels, *self.frame_size, dtype=torch.uint8)
        with torch.no_grad():
            features = self(frames.to(next(self.parameters()).device)).features
        return features.shape[2], features.shape[3]

    @cached_property
    def cells(self) -> Cells:
        """Where these maps' cells lie in the frame: found, unless the network says it itself."""
        frames = torch.zeros(1, self.in_channels, *self.frame_size)
        frames = frames.to(next(self.parameters()).device)
        return find_cells(lambda x: self(x).features, frames, model=self)

    @classmethod
    def check(cls, frame_size: tuple[int, int], tap: str, compiled: bool) -> None:
        """Refuse (ValueError) what the network cannot be built for."""
        if tap and tap not in cls.TAPS:
            choices = ", ".join(filter(None, cls.TAPS)) or "nothing else than its standard"
            raise ValueError(f"unknown --tap {tap!r} of this network: choose {choices}")
        if compiled and cls.compile_layers is Network.compile_layers:
            raise ValueError("--compile: this network has no layers that can be compiled")

    def compile_layers(self) -> None:
        """torch.compile what lies below the features: the heads stay eager, since compiled code
        cannot be differentiated twice."""
        raise NotImplementedError
