"""Two small classifiers, plain and branched; their ReLUs are modules, which captum can hook."""

import pytest
import torch
from torch import nn


class LeNet(nn.Module):
    """Convolutions, pooling and a two-layer head on all cells; its `last` maps are 4 x 3."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(96, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, pictures):
        return self.head(self.last(self.first(pictures)))


class Residual(nn.Module):
    """BatchNorm, a branch around it, average pooling and one linear layer; `last` is 4 x 4."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=3, padding=1), nn.ReLU())
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.last = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 4)

    def forward(self, pictures):
        features = self.stem(pictures)
        features = self.last(self.branch(features) + features)
        return self.fc(self.pool(features).flatten(1))


@pytest.fixture(params=[LeNet, Residual], ids=lambda kind: kind.__name__)
def net(request):
    torch.manual_seed(3)
    model = request.param()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()


@pytest.fixture
def pictures():
    return torch.randn(5, 3, 12, 10, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def labels():
    return torch.tensor([0, 3, 1, 1, 2])


def untouched(model):
    """No gradient, hook or changed mode is left on an eval-mode model."""
    assert all(parameter.grad is None for parameter in model.parameters())
    for module in model.modules():
        assert not module.training
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert not module._backward_hooks and not module._backward_pre_hooks
    return True


@pytest.fixture(name="untouched")
def untouched_fixture():
    return untouched
