"""Networks that classify, by name, each with the layer whose feature maps are its attention.

    lenet         Learning to Look (Yang et al. 2026): two convolutions, global average pooling and
                  one linear layer; 3,042 parameters for RGB; tapped at conv2's raw output
    color-cnn     CDEP's for ColorMNIST (Rieger et al. 2020): 20 and 50 channels, 500 hidden units
    decoy-cnn     CDEP's for DecoyMNIST, which the XIL typology uses too: 256 hidden units
    rrr-mlp       RRR's (Ross et al. 2017): 50 and 30 hidden units, no feature maps
    resnet18 ...  of torchvision, timm, transformers, or your own: `models.py`

Letters: B pictures, C channels, K feature maps of h x w cells.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.attention import standard_layer
from rl_attn.attention.backbones import find_layer
from rl_attn.errors import UserError
from rl_attn.supervised.models import made
from rl_attn.supervised.norms import replace_batch_norm, small_stem
from rl_attn.supervised.settings import BatchNorm, Stem


class InputConv2d(nn.Conv2d):
    """A convolution of pictures.

    Grey ones that are read as RGB (one channel in memory, expanded: stride 0) are convolved once,
    with the sum of each kernel's channels, which gives the same numbers for a third of the work.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, h, w)."""
        if x.stride(1) or x.requires_grad:  # RRR asks for a gradient in every channel
            return super().forward(x)
        grey = x[:, :1]
        if self.weight.stride(1) == 1:  # channels last, which one channel does not tell by itself
            rows = grey.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
            grey = rows.permute(0, 3, 1, 2)  # so, since vmap clones no channels_last
        return self._conv_forward(grey, self.weight.sum(1, keepdim=True), self.bias)


class LeNet(nn.Module):
    """conv 6, pool, conv 16, pool, global average pool, linear."""

    layer = "conv2"

    def __init__(self, channels: int, classes: int, size: tuple[int, int]):
        super().__init__()
        self.conv1 = InputConv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.classifier = nn.Linear(16, classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 16, h, w) before the ReLU."""
        return self.conv2(F.relu(F.max_pool2d(self.conv1(x), 2)))

    def head(self, features: Tensor) -> Tensor:
        pooled = F.relu(F.max_pool2d(features, 2))  # in this order on a quarter of the cells
        return self.classifier(pooled.mean(dim=(2, 3)))  # (B, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class TwoConvolutions(nn.Module):
    """conv 20, pool, conv 50, pool, one hidden layer: CDEP's networks."""

    layer = "conv2"

    def __init__(self, channels: int, classes: int, size: tuple[int, int], hidden: int = 256):
        super().__init__()
        self.conv1 = InputConv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        h, w = (((side - 4) // 2 - 4) // 2 for side in size)
        if min(h, w) < 1:
            raise UserError(f"pictures of {size} are too small for this network: 16x16 at least")
        self.fc1 = nn.Linear(50 * h * w, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 50, h, w) before the ReLU."""
        return self.conv2(F.relu(F.max_pool2d(self.conv1(x), 2)))

    def head(self, features: Tensor) -> Tensor:
        pooled = F.relu(F.max_pool2d(features, 2))  # in this order on a quarter of the cells
        return self.fc2(F.relu(self.fc1(pooled.flatten(1))))  # (B, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class MLP(nn.Module):
    """Two hidden layers on raw pixels, weights drawn from N(0, 0.1^2): RRR's."""

    layer = None

    def __init__(self, channels: int, classes: int, size: tuple[int, int]):
        super().__init__()
        widths = [channels * size[0] * size[1], 50, 30, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def color_cnn(channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    return TwoConvolutions(channels, classes, size, hidden=500)


#: Networks for small pictures: (channels, classes, (H, W)) -> model.
SMALL: dict[str, Callable[[int, int, tuple[int, int]], nn.Module]] = {
    "lenet": LeNet,
    "color-cnn": color_cnn,
    "decoy-cnn": TwoConvolutions,
    "rrr-mlp": MLP,
}


def build(
    name: str,
    channels: int,
    classes: int,
    size: tuple[int, int],
    imagenet: bool = False,
    batch_norm: BatchNorm = "keep",
    stem: Stem = "standard",
) -> nn.Module:
    """A network with fresh weights from torch's global generator, or ImageNet's below a fresh head.

    Args:
        batch_norm, stem: see `norms.py`.

    Raises:
        UserError: an unknown name, pictures that do not fit, weights that are not available, a
            network in which `batch_norm` or `stem` has nothing to change.
    """
    if name in SMALL:
        if imagenet:
            raise UserError(
                f"there are no ImageNet weights for {name}: leave out --weights imagenet"
            )
        model = SMALL[name](channels, classes, size)
    else:
        model = made(name, channels, classes, size, imagenet)
    if stem == "small":
        small_stem(model, name)
    if batch_norm != "keep":
        replace_batch_norm(model, batch_norm, name)
    return model


def layout_of(name: str, device: torch.device) -> torch.memory_format:
    """In which order of memory the network computes; the numbers are the same.

    Large ones take channels last. So does LeNet on a CPU, whose 6 and 16 channels torch pools and
    convolves faster there: forward and backward of 32 pictures take four fifths of the time. Other
    small ones flatten their maps, for which channels come first.
    """
    last = name not in SMALL or (name == "lenet" and device.type == "cpu")
    return torch.channels_last if last else torch.contiguous_format


def tap_layer(model: nn.Module, layer: str, size: tuple[int, int] | None = None) -> str | None:
    """The layer to tap: the one asked for, else the standard one; None where there is none.

    size: (H, W) of the pictures.
    """
    try:
        if layer:
            find_layer(model, layer)
            return layer
        if isinstance(said := getattr(model, "layer", ""), str | None) and said != "":
            return said
        return standard_layer(model, size)
    except ValueError as error:
        raise UserError(f"{error}{'' if layer else ' (--layer NAME)'}") from None
    except TypeError as error:  # compiled or scripted models
        raise UserError(str(error)) from None


def parameters_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """The network that `make` gives right after torch.manual_seed(seed); the global state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
