"""Two convolutions and two heads: an example of a network's file.

python -m rl_attn.ppo --import tiny_network.py --network tiny
"""

from torch import nn

from rl_attn.agents.networks import NETWORKS, Network, Output


@NETWORKS.register("tiny")
class Tiny(Network):
    """A strided and a padded convolution; the features' mean feeds both heads."""

    def __init__(self, in_channels, frame_size, actions, tap=""):
        super().__init__(in_channels, frame_size, actions, tap)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 16, 8, stride=8),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
        )
        self.actor, self.critic = self.head.layer(16), nn.Linear(16, 1)

    def forward(self, frames, shift=False):
        features = self.layers(frames / 255)  # (B, 16, h, w)
        hidden = features.mean(dim=(2, 3))  # (B, 16)
        return Output(self.head(self.actor(hidden)), self.critic(hidden)[:, 0], features)
