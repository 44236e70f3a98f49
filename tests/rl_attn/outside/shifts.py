"""Random shifts with DrAC's regulariser (Raileanu et al. 2021): an example of a method's file.

python -m rl_attn.ppo --import shifts.py --method shifts --pixels 4
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from rl_attn.rl.methods import METHODS, Method


@METHODS.register("shifts")
@dataclass
class Shifts(Method):
    """Train a PPO agent on shifted frames; policy and value are to stay what they were."""

    pixels: int = 4
    """frames are shifted by up to this many pixels"""
    agreement: float = 0.1
    """weight of the loss that shifted frames change nothing"""

    def observe(self, stacks, masks, phase):
        if phase != "learn":
            return stacks
        n = self.pixels
        padded = F.pad(stacks.float(), (n, n, n, n), mode="replicate").to(stacks.dtype)
        random, device = self.context.random, self.context.device
        top, left = torch.randint(0, 2 * n + 1, (2,), generator=random, device=device).tolist()
        height, width = stacks.shape[2:]
        return padded[:, :, top : top + height, left : left + width]

    def loss(self, agent, output, batch):
        with torch.no_grad():
            plain = agent(batch.stacks, memory=batch.memory)
        moved = plain.policy.kl(output.policy)  # (B,)
        loss = (moved + (output.value - plain.value).square()).mean()
        return self.agreement * loss, {"losses/agreement": loss}
