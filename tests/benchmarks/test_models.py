"""A sample of the sweep: a class token, tokens by Hugging Face, convolutions, and a refusal."""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("name", "layer", "maps"),
    [
        ("timm:resnet10t", "layer4", "512 x 6 x 6"),
        ("timm:vit_tiny_patch16_224", "blocks.11.norm1", "192 x 14 x 14"),
        ("hf:vit", "model.vit.layers.2.layernorm_before", "64 x 4 x 4"),
        ("hf:swin", "model.swin.layernorm", "96 x 8 x 8"),
    ],
)
def test_the_standard_tap_of_a_sample_is_right(benchmark, name, layer, maps):
    pytest.importorskip(name.split(":")[0].replace("hf", "transformers"))
    row = benchmark("models").examine(name)
    assert row.right and row.layer == layer and row.maps.startswith(maps), row


class TwoScales(nn.Module):
    """Two branches that meet at the score alone."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(torch.cat([self.fine(x).mean((2, 3)), self.coarse(x).mean((2, 3))], 1))


def test_a_network_without_such_a_layer_is_refused_with_the_way_out(benchmark):
    row = benchmark("models").examine("two scales", lambda name: TwoScales())
    assert row.refused and "no single layer" in row.layer and "'fine', 'coarse'" in row.layer


def test_the_sweep_has_forty_eight_and_eight(benchmark):
    models = benchmark("models")
    kinds = [name.rpartition(":")[0] for name in models.names_of(())]
    assert [kinds.count(kind) for kind in ("timm", "", "hf")] == [40, 8, 8]
    assert models.names_of(["hf:vit"]) == ["hf:vit"]
