"""Storage for one PPO rollout, and the advantages computed from it.

Frames are kept once, as single uint8 images: at 320 x 240 with 8 lanes and 128 steps the whole
storage, masks included, takes 160 MB where float32 stacks of four take 1.26 GB. Stacks are formed
by indexing when a batch is read and never reach across an episode's start: what lies before it is
filled with the episode's first frame, or is black.

What a recurrent network remembers is kept for every step, as the step before left it.

Letters: T steps, N lanes, S stacked frames, B samples, C channels, H x W pixels, M numbers of a
recurrent network's state.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents.core import Memory, Recall


@dataclass(frozen=True)
class FinalFrame:
    """The true last frame of an episode that a time limit (or a fault) cut off."""

    step: int
    lane: int
    frame: np.ndarray  # (H, W, C) uint8
    mask: np.ndarray  # (H, W) uint8


class RolloutStorage:
    """T steps of N lanes, on `device`; lanes write straight into `inbox` arrays.

    >>> storage = RolloutStorage(num_steps=8, num_lanes=2, frame_shape=(44, 52, 1))
    >>> frames, masks = storage.inbox(step=0)  # lanes write here
    >>> frames.shape, masks.shape
    ((2, 44, 52, 1), (2, 44, 52))
    """

    def __init__(
        self,
        num_steps: int,
        num_lanes: int,
        frame_shape: tuple[int, int, int],
        stack: int = 4,
        device: torch.device | str = "cpu",
        action_shape: tuple[int, ...] = (),
        action_dtype: torch.dtype = torch.int64,
        memory_size: int = 0,
        black_start: bool = False,
    ):
        """
        Args:
            action_shape, action_dtype: of one action, as `heads.Head` has them.
            memory_size: M; 0 for a network that remembers nothing.
            black_start: what lies before an episode is black, and its masks are empty.
        """
        self.num_steps, self.num_lanes, self.stack = num_steps, num_lanes, stack
        self.frame_shape, self.device = tuple(frame_shape), torch.device(device)
        self.memory_size = memory_size
        height, width, _ = self.frame_shape
        self.black_start = black_start
        # S - 1 rows of the past, T observations, the one after the last step; for `black_start` one
        # that stays black.
        self.num_rows = stack + num_steps
        kept = (self.num_rows + black_start, num_lanes)
        self._all_frames = self._zeros((*kept, *self.frame_shape), torch.uint8)
        self._all_masks = self._zeros((*kept, height, width), torch.uint8)
        self.actions = self._zeros((num_steps, num_lanes, *action_shape), action_dtype)
        self.log_probs = self._zeros((num_steps, num_lanes), torch.float32)
        self.values = self._zeros((num_steps, num_lanes), torch.float32)
        self.memory = self._zeros((num_steps + 1, num_lanes, memory_size), torch.float32)
        # The environment's side is written by the CPU and crosses over once a rollout.
        self.rewards = np.zeros((num_steps, num_lanes), np.float32)
        self.dones = np.zeros((num_steps, num_lanes), bool)
        self.age = np.zeros((num_steps + 1, num_lanes), np.int64)  # frames since the first, <= S-1
        self.final_frames: list[FinalFrame] = []
        if self.device.type == "cuda":
            pinned = {"dtype": torch.uint8, "pin_memory": True}
            self._frame_inbox = torch.zeros((num_lanes, *self.frame_shape), **pinned)
            self._mask_inbox = torch.zeros((num_lanes, height, width), **pinned)

    def _zeros(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    @property
    def frames(self) -> Tensor:
        """(S + T, N, H, W, C) uint8; a view."""
        return self._all_frames[: self.num_rows]

    @property
    def all_masks(self) -> Tensor:
        """(S + T, N, H, W) uint8, of these frames; a view."""
        return self._all_masks[: self.num_rows]

    @property
    def masks(self) -> Tensor:
        """(T + 1, N, H, W), of the observations' newest frames; a view."""
        return self.all_masks[self.stack - 1 :]

    @property
    def nbytes(self) -> int:
        """Bytes held on the device."""
        scores = (self.actions, self.log_probs, self.values, self.memory)
        tensors = (self._all_frames, self._all_masks, *scores)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    # ------------------------------------------------------------------ writing

    def inbox(self, step: int, lanes: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Arrays that receive the frames (n, H, W, C) and masks (n, H, W) of observation `step`."""
        if self.device.type == "cuda":
            return self._frame_inbox[lanes].numpy(), self._mask_inbox[lanes].numpy()
        row = step + self.stack - 1
        return self.frames[row, lanes].numpy(), self.masks[step, lanes].numpy()

    def deliver(self, step: int, lanes: slice = slice(None)) -> None:
        """Move what the inbox received to the device (nothing to do on a CPU)."""
        if self.device.type == "cuda":
            row = step + self.stack - 1
            self.frames[row, lanes].copy_(self._frame_inbox[lanes], non_blocking=True)
            self.masks[step, lanes].copy_(self._mask_inbox[lanes], non_blocking=True)

    def record(
        self,
        step: int,
        lanes: slice,
        rewards: np.ndarray,
        dones: np.ndarray,
        final_frames: dict[int, np.ndarray],
        final_masks: dict[int, np.ndarray],
    ) -> None:
        """What action `step` led to: learning rewards, episode ends, and by lane of this slice the
        last frames and masks of episodes that a limit cut off."""
        self.rewards[step, lanes], self.dones[step, lanes] = rewards, dones
        older = np.minimum(self.age[step, lanes] + 1, self.stack - 1)
        self.age[step + 1, lanes] = np.where(dones, 0, older)
        first = lanes.start or 0
        self.final_frames += [
            FinalFrame(step, first + i, frame, final_masks[i]) for i, frame in final_frames.items()
        ]

    def remember(self, step: int, lanes: slice, recall: Recall | None) -> None:
        """What observation `step` left in a recurrent network; None: it is of another."""
        if recall is not None:
            self.memory[step + 1, lanes] = recall.after

    def roll(self) -> None:
        """Make the last observation the first one of the next rollout."""
        self.memory[0] = self._states(self.num_steps, slice(None))
        self.frames[: self.stack] = self.frames[-self.stack :].clone()
        self.all_masks[: self.stack] = self.all_masks[-self.stack :].clone()
        self.age[0] = self.age[-1]
        self.final_frames = []

    # ------------------------------------------------------------------ reading

    def rows(self, steps: np.ndarray | slice, lanes: np.ndarray | slice) -> Tensor:
        """Rows of `frames` viewed as (-1, H*W*C) that make the stacks, (..., S) int64."""
        step = np.arange(self.num_steps + 1)[:, None, None]
        lane = np.arange(self.num_lanes)[None, :, None]
        rows = self._places(step, lane, self.age[..., None])  # (T+1, N, S)
        return torch.from_numpy(rows[steps, lanes]).to(self.device)

    def _places(self, step: np.ndarray | int, lane: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Rows (..., S) of the stacks at these steps and lanes.

        age: (..., 1), steps since the episode began.
        """
        back = np.arange(self.stack)[::-1]
        seen = self.stack - 1 + step - np.minimum(back, age)
        if self.black_start:
            seen = np.where(back > age, self.num_rows, seen)
        return seen * self.num_lanes + lane

    def all_rows(self) -> Tensor:
        """`rows` of all samples t * N + n of the rollout, (T*N, S)."""
        return self.rows(slice(0, self.num_steps), slice(None)).flatten(0, 1)

    def stacks(self, rows: Tensor) -> Tensor:
        """uint8 stacks (B, S*C, H, W), channels last in memory, oldest frame first.

        Args:
            rows: (B, S) from `rows`.
        """
        height, width, channels = self.frame_shape
        flat = self._all_frames.view(-1, height * width * channels)
        picked = flat.index_select(0, rows.reshape(-1))  # (B*S, H*W*C)
        picked = picked.view(-1, self.stack, height, width, channels)
        stacked = picked.permute(0, 2, 3, 1, 4).reshape(len(rows), height, width, -1)
        # (B, S*C, H, W); of gray frames the above is a view in another order of memory
        return stacked.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def mask_stacks(self, rows: Tensor) -> Tensor:
        """uint8 masks (B, S, H, W) of the stacks' frames, oldest first; `rows` as of `stacks`."""
        flat = self._all_masks.flatten(2).flatten(0, 1)
        return flat[rows].unflatten(2, self.frame_shape[:2])

    def observation(self, step: int, lanes: slice = slice(None)) -> Tensor:
        """The stacks that the policy sees at `step`, (n, S*C, H, W)."""
        return self.stacks(self._rows_of(step, lanes))

    def observed_masks(self, step: int, lanes: slice = slice(None)) -> Tensor:
        """The masks of these stacks' frames, (n, S, H, W)."""
        return self.mask_stacks(self._rows_of(step, lanes))

    def _rows_of(self, step: int, lanes: slice) -> Tensor:
        """`rows` of one step, (n, S) on the device."""
        if step > self.num_steps:
            raise IndexError(f"step {step} of a rollout of {self.num_steps}")
        lane = np.arange(self.num_lanes)[lanes]
        rows = self._places(step, lane[:, None], self.age[step, lanes][:, None])
        return torch.from_numpy(rows).to(self.device, non_blocking=True)

    def recall(self, steps: np.ndarray | int, lanes: np.ndarray | slice) -> Memory | None:
        """What is remembered at these observations, each a sample of its own; None: nothing is."""
        return Memory(self._states(steps, lanes)) if self.memory_size else None

    def sequences(self, lanes: Tensor) -> Memory | None:
        """What is remembered by all T steps of these lanes (n,), step by step."""
        if not self.memory_size:
            return None
        starts = np.concatenate([np.zeros_like(self.dones[:1]), self.dones[:-1]])
        return Memory(self.memory[0, lanes], torch.from_numpy(starts).to(self.device)[:, lanes])

    def _states(self, steps: np.ndarray | int, lanes: np.ndarray | slice) -> Tensor:
        """(B, M), zero where an episode starts; those of step 0 were so when they were rolled."""
        started = self.dones[np.asarray(steps) - 1, lanes] & (np.asarray(steps) > 0)
        kept = torch.from_numpy(~started).to(self.device)
        return self.memory[steps, lanes] * kept[:, None]

    def final_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and lanes that ended in the true last frames of cut-off episodes."""
        steps, lanes = np.array([(f.step, f.lane) for f in self.final_frames]).T
        return steps, lanes

    def final_memory(self) -> Memory | None:
        """What is remembered at these frames."""
        steps, lanes = self.final_places()
        return Memory(self.memory[steps + 1, lanes]) if self.memory_size else None

    def final_stacks(self) -> Tensor:
        """Stacks that end in these frames, (len(final_frames), S*C, H, W)."""
        before = self.stacks(self.rows(*self.final_places()))
        last = np.stack([f.frame for f in self.final_frames])  # (B, H, W, C)
        last = torch.from_numpy(last).to(self.device).permute(0, 3, 1, 2)
        return torch.cat([before[:, last.shape[1] :], last], dim=1)

    def final_masks(self) -> Tensor:
        """Masks of these stacks' frames, (len(final_frames), S, H, W) uint8."""
        before = self.mask_stacks(self.rows(*self.final_places()))
        last = torch.from_numpy(np.stack([f.mask for f in self.final_frames])).to(self.device)
        return torch.cat([before[:, 1:], last[:, None]], dim=1)


def gae(
    rewards: Tensor, values: Tensor, dones: Tensor, last_value: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, Eq. 16).

    Args:
        rewards, values: (T, N).
        dones: (T, N) bool, the episode ended with this step. Where a time limit ended it, the
            reward must already contain gamma * V(true last frame).
        last_value: (N,), the value of the observation after the last step.

    Returns:
        (T, N) advantages; add `values` for the returns.

    >>> rewards, values = torch.tensor([[1.0], [1.0]]), torch.zeros(2, 1)
    >>> dones = torch.zeros(2, 1, dtype=torch.bool)
    >>> gae(rewards, values, dones, torch.zeros(1), gamma=1.0, lam=1.0)
    tensor([[2.],
            [1.]])
    """
    next_values = torch.cat([values[1:], last_value[None]])
    going_on = 1.0 - dones.to(values.dtype)
    deltas = rewards + gamma * next_values * going_on - values
    advantages = torch.empty_like(deltas)
    advantage = torch.zeros_like(last_value)
    for t in reversed(range(len(deltas))):
        advantage = deltas[t] + gamma * lam * going_on[t] * advantage
        advantages[t] = advantage
    return advantages
