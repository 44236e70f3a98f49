"""A recurrent core between a network's trunk and its heads: what an agent remembers.

As in CleanRL's ppo_atari_lstm.py: 128 units, orthogonal weights, and a state that is zero where an
episode begins. The core runs step by step, in plain cells: a loss on attention differentiates it
twice, which cuDNN's fused sequences cannot be.

Letters: T steps of n environments make B = T*n samples, step by step; D inputs, M numbers of a
state (LSTM: output and cell, GRU: its output).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Recurrent = Literal["none", "lstm", "gru"]


class Memory(NamedTuple):
    """What is remembered when a batch begins, and where in it episodes do.

    >>> memory = Memory(torch.zeros(2, 16))  # of two lanes, at the start of a batch
    >>> memory.starts is None
    True
    """

    state: Tensor  # (n, M) float32, before the first step
    starts: Tensor | None = None  # (T, n) bool: forget here; None: nowhere, and T = 1


class Recall(NamedTuple):
    """What a core did with a batch."""

    hidden: Tensor  # (B, D), the trunk's, in the graph of the forward
    before: Tensor  # (B, M), the state that each sample was seen with
    after: Tensor  # (B, M), the state that it left

    def detach(self) -> "Recall":
        return Recall(*(part.detach() for part in self))


class Core(nn.Module):
    """`outputs, before, after = core(hidden, memory)`."""

    SIZE = 128  # of its outputs

    def __init__(self, kind: Recurrent, in_features: int):
        super().__init__()
        self.kind = kind
        self.cell = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[kind](in_features, self.SIZE)
        self.memory_size = (2 if kind == "lstm" else 1) * self.SIZE  # M
        for name, parameter in self.cell.named_parameters():
            nn.init.zeros_(parameter) if "bias" in name else nn.init.orthogonal_(parameter)

    def forward(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            hidden: (B, D) of T steps, where `memory.state` has n rows.

        Returns:
            (B, SIZE) outputs, and the states (B, M) before and after each sample; float32 also
            under autocast, since what is remembered adds up.
        """
        state, starts = memory
        before, after = [], []
        with torch.autocast(hidden.device.type, enabled=False):
            for step, inputs in enumerate(hidden.float().unflatten(0, (-1, len(state)))):
                if starts is not None:
                    state = state * ~starts[step, :, None]
                before.append(state)
                state = self._step(inputs, state)
                after.append(state)
        joined = torch.cat(after)
        return joined[:, : self.SIZE], torch.cat(before), joined

    def _step(self, inputs: Tensor, state: Tensor) -> Tensor:
        if self.kind == "lstm":
            return torch.cat(self.cell(inputs, state.chunk(2, dim=1)), dim=1)
        return self.cell(inputs, state)
