"""What an actor-critic must provide: a trunk from frames to a hidden layer and its feature maps.

    @NETWORKS.register("mine")
    class Mine(Network):
        \"\"\"A convolution and its mean.\"\"\"

        def __init__(self, in_channels, frame_size, actions, tap="", **options):
            super().__init__(in_channels, frame_size, actions, tap, **options)
            self.layers = nn.Sequential(nn.Conv2d(in_channels, self.wide(32), 8, 4), nn.ReLU())
            self.add_heads(self.wide(32))

        def trunk(self, frames, shift=False):
            features = self.layers(frames / 255)                     # (B, K, h, w)
            return Trunk(features.mean(dim=(2, 3)), features)

The heads of policy and value, and between them and the trunk a recurrent core if one is asked for,
are the same for all. A network of other heads writes `forward` itself, and has no core:

        def forward(self, frames, shift=False):
            ...
            return Output(self.head(self.actor(hidden)), self.critic(hidden)[:, 0], features)

Letters: B samples, S stacked frames, C channels a frame, K feature maps of h x w cells, D units, M
numbers of a core's state (see `core.py`).
"""

import inspect
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from rl_attn.agents.core import Core, Memory, Recall, Recurrent
from rl_attn.agents.heads import Policy, head_of
from rl_attn.agents.layers import orthogonal
from rl_attn.attention import Cells, find_cells, tap
from rl_attn.errors import UserError


class Trunk(NamedTuple):
    """What a network's own layers give, before the heads.

    >>> Trunk(hidden=torch.zeros(1, 8), features=torch.zeros(1, 4, 3, 3)).shift is None
    True
    """

    hidden: Tensor  # (B, D), what the heads or the core read
    features: Tensor  # (B, K, h, w), the tapped layer's activations
    shift: Tensor | None = None  # (B, K) zeros that were added to every cell, see `trunk`


class Output(NamedTuple):
    """What an actor-critic makes of a batch of frames.

    >>> from rl_attn.agents import ActorCritic
    >>> output = ActorCritic(4, (44, 52), 3)(torch.zeros(1, 4, 44, 52, dtype=torch.uint8))
    >>> isinstance(output, Output), output.policy.log_probs.shape
    (True, torch.Size([1, 3]))
    """

    policy: Policy  # of B samples, float32
    value: Tensor  # (B,) float32
    features: Tensor  # (B, K, h, w), the tapped layer's activations
    shift: Tensor | None = None  # (B, K) zeros that were added to every cell, see `trunk`
    recall: Recall | None = None  # of a recurrent network

    @property
    def logits(self) -> Tensor:
        """(B, P): the policy's parameters, which for Discrete actions are logits."""
        return self.policy.parameters

    def held_memory(self, rows: Tensor) -> Memory | None:
        """What was remembered at these samples (n,), held fixed."""
        return None if self.recall is None else Memory(self.recall.before[rows].detach())

    def detach(self) -> "Output":
        return Output(
            self.policy.detach(),
            self.value.detach(),
            self.features.detach(),
            None if self.shift is None else self.shift.detach(),
            None if self.recall is None else self.recall.detach(),
        )


class Network(nn.Module):
    """Base class of actor-critics; see the head of this file.

    >>> agent = NETWORKS["impoola"](4, (64, 64), 3)
    >>> isinstance(agent, Network)
    True
    """

    #: Where its maps are: a field of its own output, see `attention/standard.py`.
    standard_tap = "output.features"
    #: Feature maps that the trunk itself can give; the last one is the default.
    TAPS: tuple[str, ...] = ("",)
    #: Whether it was trained with black frames before an episode's first, not with copies of it.
    black_start: bool = False

    def __init__(
        self,
        in_channels: int,
        frame_size: tuple[int, int],
        actions: gymnasium.Space | int,
        tap: str = "",
        width_scale: float = 1.0,
        recurrent: Recurrent = "none",
    ):
        """
        Args:
            in_channels: S*C, stacked frames times channels a frame.
            frame_size: (H, W) in pixels.
            actions: the action space, which `self.head` is for; a number is that of a Discrete one.
            tap: whose feature maps the forward gives: one of TAPS, or any layer by its name in
                `named_modules()`; "": the network's standard.
            width_scale: the convolutions' channels are multiplied by it, see `wide`.
            recurrent: the core between trunk and heads.
        """
        super().__init__()
        self.in_channels, self.frame_size = in_channels, frame_size
        space = gymnasium.spaces.Discrete(actions) if isinstance(actions, int) else actions
        self.head = head_of(space)
        self.tap = tap if tap in self.TAPS else self.TAPS[-1]  # which maps the trunk gives
        self.named_layer = None if tap in ("", *self.TAPS) else tap  # whose maps take their place
        self.width_scale = width_scale
        self.recurrent: Recurrent = recurrent
        self.core: Core | None = None

    # ------------------------------------------------------------------ for networks

    def wide(self, channels: int) -> int:
        """So many channels times the width scale, at least one."""
        return max(1, int(channels * self.width_scale))

    def add_heads(self, units: int) -> None:
        """The core, if one is asked for, and a linear head each for policy and value.

        Args:
            units: D of the trunk's hidden layer.
        """
        if self.recurrent != "none":
            self.core = Core(self.recurrent, units)
            units = self.core.SIZE
        self.actor = orthogonal(self.head.layer(units), gain=0.01)
        self.critic = orthogonal(nn.Linear(units, 1), gain=1.0)

    def trunk(self, frames: Tensor, shift: bool = False) -> Trunk:
        """
        Args:
            frames: (B, S*C, H, W) uint8.
            shift: also give a zero (B, K) that is added to every cell of the features, if the
                network has one: the value's gradient by it is the sum over cells that `grad_cam`
                needs. None makes no difference but in speed.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ for those who call them

    def __call__(self, frames: Tensor, shift: bool = False, memory: Memory | None = None) -> Output:
        """The forward of any network, at any tap; arguments as of `forward`."""
        how = {} if memory is None else {"memory": memory}
        if self.named_layer is None:
            return super().__call__(frames, shift, **how)
        with tap(self, self.named_layer) as features:
            output = super().__call__(frames, False, **how)
        return output._replace(features=features())

    def forward(self, frames: Tensor, shift: bool = False, memory: Memory | None = None) -> Output:
        """
        Args:
            frames: (B, S*C, H, W) uint8; of T steps, step by step, as `memory` says.
            shift: see `trunk`.
            memory: what a recurrent network remembers; others take None.
        """
        trunk = self.trunk(frames, shift)
        return self._scored(trunk.hidden, memory, trunk.features, trunk.shift)

    def _scored(
        self, hidden: Tensor, memory: Memory | None, features: Tensor, shift: Tensor | None
    ) -> Output:
        """From the hidden layer (B, D) through the core to policy and value."""
        recall = None
        if self.core is not None:
            if memory is None:
                raise UserError(
                    f"--recurrent {self.recurrent}: the network was called without what it "
                    "remembers; a method calls agent(batch.shown, memory=batch.memory)"
                )
            outputs, before, after = self.core(hidden, memory)
            recall, hidden = Recall(hidden, before, after), outputs
        policy, value = self.head(self.actor(hidden).float()), self.critic(hidden)[:, 0]
        return Output(policy, value.float(), features, shift, recall)

    def held(self, output: Output) -> Output:
        """The same scores with what is remembered held fixed: each depends on its own frame alone.

        In a sequence a later value depends on earlier frames too, and the gradient of summed values
        would mix them; attention is asked for one frame at a time (CAMAL, Proposition 1).
        """
        recall = output.recall
        if recall is None or not recall.before.requires_grad:
            return output
        memory = Memory(recall.before.detach())
        return self._scored(recall.hidden, memory, output.features, output.shift)

    @property
    def memory_size(self) -> int:
        """M; 0 for a network that remembers nothing."""
        return 0 if self.core is None else self.core.memory_size

    def blank(self, samples: int) -> Memory | None:
        """What is remembered when an episode begins; None for a network that remembers nothing."""
        if self.core is None:
            return None
        return Memory(self.critic.weight.new_zeros(samples, self.memory_size))

    @cached_property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the feature maps."""
        _, _, height, width = self._features_of_black().shape
        return height, width

    @cached_property
    def cells(self) -> Cells:
        """Where these maps' cells lie in the frame: found, unless the network says it itself."""
        return find_cells(self.maps, self.black(), model=self)

    def map_head(self, outputs: int) -> nn.Conv2d:
        """A linear layer on the feature maps: (B, K, h, w) -> (B, outputs, h, w)."""
        features = self._features_of_black()
        return nn.Conv2d(features.shape[1], outputs, 1, device=features.device)

    def black(self) -> Tensor:
        """Frames (1, S*C, H, W) of zeros, on the network's device."""
        device = next(self.parameters()).device
        return torch.zeros(1, self.in_channels, *self.frame_size, device=device)

    @torch.no_grad()
    def _features_of_black(self) -> Tensor:
        return self.maps(self.black().byte())

    def maps(self, frames: Tensor) -> Tensor:
        """The feature maps (B, K, h, w) of frames (B, S*C, H, W)."""
        return self(frames, memory=self.blank(len(frames))).features

    # ------------------------------------------------------------------ refusals, compilation

    @classmethod
    def check(cls, frame_size: tuple[int, int], tap: str, compiled: bool) -> None:
        """Refuse (ValueError) what the network cannot be built for."""
        if tap not in ("", *cls.TAPS):
            cls._check_layer(frame_size, tap)
        if not compiled:
            return
        if cls.compile_layers is Network.compile_layers:
            raise ValueError("--compile: this network has no layers that can be compiled")
        if tap not in ("", cls.TAPS[-1]):
            standard = f"--tap {cls.TAPS[-1]}" if cls.TAPS[-1] else "the standard tap"
            raise ValueError(
                f"--compile goes with {standard} alone, got {tap}: compiled layers behind the tap "
                "cannot be differentiated twice"
            )

    @classmethod
    def _check_layer(cls, frame_size: tuple[int, int], tap: str) -> None:
        """That a layer of this name gives feature maps, of frames of one channel."""
        try:
            _ = cls(1, frame_size, 2, tap).grid
        except (ValueError, TypeError, RuntimeError) as error:
            own = [f"--tap {name}" for name in cls.TAPS if name]
            rest = f" (and {', '.join(own)})" if own else ""
            raise ValueError(f"--tap {tap}: {error}{rest}") from None

    @classmethod
    def check_options(cls, options: dict[str, Any]) -> None:
        """Refuse (ValueError) what others take beside a tap and this network does not."""
        known = inspect.signature(cls.__init__).parameters
        anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        for name, value in options.items():
            if not anything and name not in known:
                raise ValueError(
                    f"--{name.replace('_', '-')} {value}: this network does not take it; let its "
                    f"__init__ hand **options on to Network's"
                )
        if "recurrent" in options and cls.trunk is Network.trunk:
            raise ValueError(
                f"--recurrent {options['recurrent']}: this network has a forward of its own, "
                "with no place for a core; let it give a trunk (rl_attn/agents/networks/base.py)"
            )

    def compile_layers(self) -> None:
        """torch.compile what lies below the features: the heads stay eager, since compiled code
        cannot be differentiated twice."""
        raise NotImplementedError
