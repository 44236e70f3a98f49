"""A toy set: two squares both tell the class by their colour; the mask is the left one alone."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

SIDE = 16


def pictures(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 3, 16, 16) in [0, 1], labels (N,), masks (N, 16, 16)."""
    drawn = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(number, 3, SIDE, SIDE, generator=drawn)
    labels, masks = torch.arange(number) % 2, torch.zeros(number, SIDE, SIDE)
    for image, label, mask in zip(images, labels, masks, strict=True):
        y = int(torch.randint(0, SIDE - 6, (), generator=drawn))
        for x in (1, 9):
            image[label, y : y + 6, x : x + 6] = 1
        mask[y : y + 6, 1:7] = 1
    return images, labels, masks


class Dictionaries(Dataset):
    """As transformers has them."""

    def __init__(self, number: int = 32):
        self.images, self.labels, self.masks = pictures(number)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {
            "pixel_values": self.images[i], "labels": self.labels[i], "masks": self.masks[i]
        }  # fmt: skip


def small_network() -> nn.Module:
    """Its cells know where they are: the image's borders are padded by zeros."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, padding=2, padding_mode="zeros"), nn.ReLU(),
        nn.Conv2d(12, 24, 9, padding=4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 2),
    )  # fmt: skip


def inside(model: nn.Module) -> float:
    """Share of the attention to the true class that lies in the mask, mean over the set."""
    from rl_attn.attention import Attention, energy_inside, grad_cam, tap

    images, labels, masks = pictures(32)
    model.eval()
    with tap(model) as features:
        output = model(images)
    logits = getattr(output, "logits", output)
    maps = grad_cam(logits.gather(1, labels[:, None])[:, 0], features(), second_order=False)
    full = Attention(maps.detach(), features.cells).upsample((SIDE, SIDE))
    return energy_inside(full, masks).nanmean().item()
