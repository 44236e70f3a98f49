"""CleanRL's five-layer Atari network (Mnih et al. 2015) as actor and critic, for any frame size.

Three convolutions, one shared linear layer, and a linear head each for policy and value. One
forward also gives a convolution's feature maps, from which attention is computed: the last one's,
or an earlier one's, whose maps are finer.

Letters: B samples, S stacked frames, C channels a frame, K feature maps of h x w cells.
"""

from typing import Literal

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.agents.networks import NETWORKS, Network, Output

Tap = Literal["conv1", "conv2", "conv3"]

#: Kernel and stride of each convolution.
_SHAPES = {"conv1": (8, 4), "conv2": (4, 2), "conv3": (3, 1)}


@NETWORKS.register("nature")
class ActorCritic(Network):
    """`output = agent(frames)` with uint8 frames (B, S*C, H, W)."""

    TAPS = tuple(_SHAPES)

    def __init__(
        self,
        in_channels: int,
        frame_size: tuple[int, int],
        actions: gymnasium.Space | int,
        tap: Tap | Literal[""] = "",
    ):
        """
        Args:
            in_channels: S*C, stacked frames times channels a frame.
            frame_size: (H, W) in pixels; at least 36 x 36.
            actions: the action space, or the number of discrete actions.
            tap: whose feature maps the forward gives: 32 of conv1, 64 of conv2 or of conv3 (the
                default).
        """
        super().__init__(in_channels, frame_size, actions, tap)
        self.convolutions = nn.Sequential(
            _orthogonal(PixelConv2d(in_channels, 32, 8, stride=4)),
            nn.ReLU(inplace=True),
            _orthogonal(nn.Conv2d(32, 64, 4, stride=2)),
            nn.ReLU(inplace=True),
            _orthogonal(nn.Conv2d(64, 64, 3, stride=1)),
        )
        self.grid = feature_grid(frame_size, self.tap)  # (h, w)
        self.cells = cell_centres(self.tap)
        h, w = feature_grid(frame_size)
        self.hidden = _orthogonal(nn.Linear(64 * h * w, 512))
        self.actor = _orthogonal(self.head.layer(512), gain=0.01)
        self.critic = _orthogonal(nn.Linear(512, 1), gain=1.0)
        self.to(memory_format=torch.channels_last)  # the CPU's and the tensor cores' faster layout

    def forward(self, frames: Tensor, shift: bool = False) -> Output:
        """
        Args:
            frames: (B, S*C, H, W) uint8.
            shift: also give a zero (B, 64) that is added to every cell of the features. What
                `grad_cam` needs is the value's gradient summed over cells, which is the gradient
                by this shift. Through the hidden layer it takes a (B, 64) product where the
                gradient by all cells takes (B, 64*h*w): the CAMAL loss costs a fifth as much.
                Before an earlier tap's features no such layer lies: None is given for it.
        """
        features, last = self._features(_to_float(frames))  # (B, K, h, w), conv3's (B, 64, h, w)
        cells = last.permute(0, 2, 3, 1).flatten(1)  # (B, h*w*64), no copy: channels last
        hidden = self.hidden(cells)  # (B, 512)
        zeros = None
        if shift and self.tap == "conv3":
            zeros = features.new_zeros(features.shape[:2], requires_grad=True)
            by_channel = self.hidden.weight.unflatten(1, (-1, 64)).sum(1)  # (512, 64)
            hidden = hidden + F.linear(zeros, by_channel)
        hidden = F.relu(hidden)
        policy, value = self.head(self.actor(hidden).float()), self.critic(hidden)[:, 0]
        return Output(policy, value.float(), features, zeros)

    @classmethod
    def check(cls, frame_size: tuple[int, int], tap: str, compiled: bool) -> None:
        super().check(frame_size, tap, compiled)
        feature_grid(frame_size)
        if compiled and tap not in ("", "conv3"):
            raise ValueError(
                f"--compile goes with --tap conv3 alone, got {tap}: compiled convolutions behind "
                "the tap cannot be differentiated twice"
            )

    def compile_layers(self) -> None:
        self.convolutions.compile()

    def _features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The tapped activations, and the last convolution's, which are made from them."""
        if self.tap == "conv3":
            last = F.relu(self.convolutions(pixels))
            return last, last
        cut = 2 * list(_SHAPES).index(self.tap) + 2  # behind its ReLU
        features = self.convolutions[:cut](pixels)
        return features, F.relu(self.convolutions[cut:](features))


def feature_grid(frame_size: tuple[int, int], tap: Tap = "conv3") -> tuple[int, int]:
    """(h, w) of the feature maps for frames of (H, W) pixels: 11 x 16 for 120 x 160 at conv3."""
    layers = list(_SHAPES.values())[: list(_SHAPES).index(tap) + 1]

    def cells(pixels: int) -> int:
        for kernel, stride in layers:
            pixels = (pixels - kernel) // stride + 1
        return pixels

    h, w = cells(frame_size[0]), cells(frame_size[1])
    if min(h, w) < 1:
        raise ValueError(f"frames of {frame_size} pixels are too small: 36 x 36 is the least")
    return h, w


def cell_centres(tap: Tap = "conv3") -> tuple[float, float]:
    """(first, step): the pixels that cell i sees lie round pixel first + i * step, on both axes.

    (17.5, 8) at conv3: nothing is padded, so the first cell's 36 pixels begin at the border.
    """
    first, step = 0.0, 1.0
    for kernel, stride in list(_SHAPES.values())[: list(_SHAPES).index(tap) + 1]:
        first += step * (kernel - 1) / 2
        step *= stride
    return first, step


class PixelConv2d(nn.Conv2d):
    """A convolution of pixel values 0..255 that answers as if they were scaled to [0, 1].

    Scaling the weights saves a pass over the frames, and whole numbers up to 256 are exact in
    bf16, where their 255ths are not.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        return self._conv_forward(pixels, self.weight / 255, self.bias)


def _to_float(frames: Tensor) -> Tensor:
    """uint8 (B, S*C, H, W) to the type that the convolution wants, in one pass, channels last."""
    kind = frames.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    return frames.contiguous(memory_format=torch.channels_last).to(dtype)


def _orthogonal(layer: nn.Module, gain: float = 2**0.5) -> nn.Module:
    """Orthogonal weights, zero bias (Andrychowicz et al. 2021; CleanRL's `layer_init`)."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
