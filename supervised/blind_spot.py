"""What PARIC (`methods/paric.py`) draws its maps from: each cell as those around it expect it.

Letters: B maps of H x W cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.run.optimizers import eager


class BlindSpotAdapter(nn.Module):
    """Each cell's mean and deviation from the 24 cells around it."""

    def __init__(self, hidden: int = 16):
        super().__init__()
        self.around = nn.Conv2d(1, hidden, 5, padding=2)
        self.mix = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, 2, 1)
        spot = torch.ones(5, 5)
        spot[2, 2] = 0
        self.register_buffer("spot", spot)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W) in [0, 1] -> mean in (0, 1) and deviation above 0.01, each (B, H, W)."""
        x = F.conv2d(maps[:, None], self.around.weight * self.spot, self.around.bias, padding=2)
        mean, deviation = self.out(F.relu(self.mix(F.relu(x)))).unbind(1)
        return mean.sigmoid(), F.softplus(deviation) + 0.01

    def sample(self, maps: Tensor, number: int, generator: torch.Generator) -> Tensor:
        """`number` maps drawn for each of (B, H, W), clipped to [0, 1]: (B, number, H, W)."""
        mean, deviation = self(maps)
        noise = torch.randn(len(maps), number, *maps.shape[1:], generator=generator)
        return (mean[:, None] + deviation[:, None] * noise).clamp(0, 1)


def fitted_adapter(masks: Tensor, steps: int, generator: torch.Generator) -> BlindSpotAdapter:
    """The adapter of greatest likelihood, by Adam on 32 of the masks (N, H, W) uint8 at a time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        adapter = BlindSpotAdapter()
    optimizer = eager(torch.optim.Adam)(adapter.parameters(), 1e-2)
    for _ in range(steps):
        index = torch.randint(len(masks), (32,), generator=generator)
        maps = masks[index].float() / 255
        mean, deviation = adapter(maps)
        loss = F.gaussian_nll_loss(mean, maps, deviation.square())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return adapter.requires_grad_(False)
