"""Two convolutions and their mean: an example of a network's file.

python -m rl_attn.ppo --import tiny_network.py --network tiny
"""

from torch import nn

from rl_attn.agents.networks import NETWORKS, Network, Trunk


@NETWORKS.register("tiny")
class Tiny(Network):
    """A strided and a padded convolution; the features' mean is all that the heads see."""

    def __init__(self, in_channels, frame_size, actions, tap="", **options):
        super().__init__(in_channels, frame_size, actions, tap, **options)
        channels = self.wide(16)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, channels, 8, stride=8),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.add_heads(channels)

    def trunk(self, frames, shift=False):
        features = self.layers(frames / 255)  # (B, 16, h, w)
        return Trunk(features.mean(dim=(2, 3)), features)
