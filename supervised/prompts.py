"""Prompts: what a person says of some of a picture's pixels (Zhang et al. 2024, VAPL, Sec. 3).

    indispensable +1    precluded 0    undecided -1

As a mask file, which `--masks` takes, they are white, black and grey (255, 0, 128), so a prompt is
cropped, mirrored and resized as any mask; grey is what lies between a quarter and three quarters.
A picture that is grey all over has no prompt.

Where no person is at hand, prompts are made from true masks: the object is the factual part, which
is indispensable, the rest the counterfactual one, which is precluded. Strokes, the cells of a grid,
cover a share of each; all else stays undecided. A picture whose mask is empty gets another's: a
prompt without an indispensable part would tell its class. What is wrong with people's prompts can
be added: a share of the strokes says the contrary (`noise`), or all are misplaced (`shift`).

Letters: N pictures of H x W pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention import INDISPENSABLE, PRECLUDED, UNDECIDED
from rl_attn.errors import UserError

#: The grey of an undecided pixel.
GREY = 128


def encode(prompts: Tensor) -> Tensor:
    """{-1, 0, 1} as uint8 masks."""
    masks = torch.full(prompts.shape, GREY, dtype=torch.uint8, device=prompts.device)
    masks[prompts == INDISPENSABLE], masks[prompts == PRECLUDED] = 255, 0
    return masks


def decode(masks: Tensor, known: Tensor | None = None) -> Tensor:
    """Masks in [0, 1] as int8 {-1, 0, 1}; what is not known (bool) is undecided."""
    prompts = torch.full(masks.shape, UNDECIDED, dtype=torch.int8, device=masks.device)
    prompts[masks > 0.75], prompts[masks < 0.25] = INDISPENSABLE, PRECLUDED
    if known is not None:
        prompts[~known] = UNDECIDED
    return prompts


def given(prompts: Tensor) -> Tensor:
    """Which pictures have a prompt, (N,) bool."""
    return (prompts != UNDECIDED).flatten(1).any(1)


@dataclass
class Annotator:
    """How prompts are made from masks."""

    factual: float = 0.8
    counterfactual: float = 0.5
    noise: float = 0.0
    shift: float = 0.0
    cells: int = 8

    def check(self) -> None:
        for name in ("factual", "counterfactual", "noise", "shift"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"--{name} is a share, 0 to 1, got {getattr(self, name)}")
        if self.factual + self.counterfactual == 0:
            raise UserError("--factual and --counterfactual are both 0: nothing would be decided")

    def __call__(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        """Masks uint8 (N, H, W) -> int8 (N, H, W) of {-1, 0, 1}; chance is the generator's."""
        on = _borrowed((masks > 127).cpu(), generator)
        if self.shift:
            on = _moved(on, self.shift, generator)
        size = tuple(masks.shape[1:])
        wrong = self._cells(len(masks), size, self.noise, generator)
        seen = self._cells(len(masks), size, self.factual, generator)
        ruled_out = self._cells(len(masks), size, self.counterfactual, generator)
        decided = torch.where(on, seen, ruled_out)
        said = (on ^ wrong).to(torch.int8)
        return torch.where(decided, said, UNDECIDED).to(masks.device)

    def _cells(
        self, number: int, size: tuple[int, int], share: float, generator: torch.Generator
    ) -> Tensor:
        """(N, H, W) bool: cells of a grid, each on with chance `share`."""
        grid = torch.rand(number, 1, self.cells, self.cells, generator=generator) < share
        return F.interpolate(grid.float(), size, mode="nearest")[:, 0] > 0.5


def _borrowed(on: Tensor, generator: torch.Generator) -> Tensor:
    """(N, H, W) bool, each empty mask replaced by one that is not, drawn at random; where all are
    empty, or none is, nothing is drawn."""
    full = on.flatten(1).any(1)
    if full.all() or not full.any():
        return on
    owners = full.nonzero()[:, 0]
    drawn = torch.randint(len(owners), (len(on),), generator=generator)
    return torch.where(full[:, None, None], on, on[owners[drawn]])


def _moved(on: Tensor, shift: float, generator: torch.Generator) -> Tensor:
    """Each of (N, H, W) by `shift` of its side in a direction of its own; nothing enters."""
    height, width = on.shape[1:]
    angles = torch.rand(len(on), generator=generator) * 2 * torch.pi
    down, right = angles.sin() * shift * height, angles.cos() * shift * width
    rows = torch.arange(height) - down.round().long()[:, None]  # (N, H): where each came from
    columns = torch.arange(width) - right.round().long()[:, None]  # (N, W)
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    sample = torch.arange(len(on))[:, None, None]
    taken = on[sample, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
    return taken & inside
