"""A linear layer on an agent's feature maps, for auxiliary tasks on the trunk."""

import torch
from torch import nn

from rl_attn.agents import Network


def map_head(agent: Network, outputs: int) -> nn.Conv2d:
    """Features (B, K, h, w) of the agent -> (B, outputs, h, w), on the agent's device."""
    device = next(agent.parameters()).device
    frames = torch.zeros(1, agent.in_channels, *agent.frame_size, dtype=torch.uint8, device=device)
    with torch.no_grad():
        channels = agent.maps(frames).shape[1]
    return nn.Conv2d(channels, outputs, 1, device=device)
