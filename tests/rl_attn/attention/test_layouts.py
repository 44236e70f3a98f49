"""How blocks lay out what they return: found, never guessed."""

import pytest
import torch
from torch import nn

from rl_attn.attention import tap
from rl_attn.attention.layouts import Witness, layout_of, witness

SIZE = (64, 96)


#: Of timm, by file and class, made small.
NETWORKS = {
    "mambaout": ("MambaOut", {"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 48)}),
    "gcvit": (
        "GlobalContextVit",
        {
            "depths": (1, 1, 1, 1),
            "embed_dim": 16,
            "num_heads": (1, 1, 2, 2),
            "window_ratio": (32, 32, 32, 32),
            "img_size": SIZE,
        },
    ),
    "volo": (
        "VOLO",
        {
            "layers": (1, 1, 1, 1),
            "embed_dims": (32, 64, 64, 64),
            "num_heads": (2, 2, 2, 2),
            "img_size": SIZE,
        },
    ),
    "swin_transformer_v2_cr": (
        "SwinTransformerV2Cr",
        {"depths": (1, 1, 1, 1), "embed_dim": 24, "img_size": SIZE, "window_size": (2, 3)},
    ),
    "sequencer": (
        "Sequencer2d",
        {"layers": (1, 1, 1, 1), "embed_dims": (16, 24, 32, 32), "hidden_sizes": (4, 6, 8, 8)},
    ),
}


def network(name: str) -> nn.Module:
    module = pytest.importorskip(f"timm.models.{name}")
    kind, options = NETWORKS[name]
    torch.manual_seed(0)
    return getattr(module, kind)(num_classes=2, **options).eval()


@pytest.mark.parametrize(
    ("name", "layer", "layout"),
    [
        ("mambaout", "stages.2", "channels_last"),
        ("mambaout", "stages.3.blocks.0", "channels_last"),
        ("gcvit", "stages.2.blocks.0", "channels_last"),
        ("gcvit", "stages.2", "channels_first"),
        ("volo", "network.0", "channels_last"),
        ("volo", "network.2.0", "channels_last"),
        ("swin_transformer_v2_cr", "stages.2.blocks.0", "channels_last"),
        ("swin_transformer_v2_cr", "stages.2", "channels_first"),
        ("sequencer", "stages.1", "channels_last"),
    ],
)
def test_networks_that_pass_channels_last_find_their_cells(name, layer, layout):
    model, pictures = network(name), torch.randn(1, 3, *SIZE)
    with tap(model, layer) as found, tap(model, layer, layout=layout) as said:
        model(pictures)
    assert found().shape == said().shape and torch.equal(found(), said())
    height, width = found().shape[2:]
    assert height * SIZE[1] == width * SIZE[0] and found().shape[1] > width
    assert found.cells == said.cells
    first, step = found.cells
    assert abs(step - SIZE[0] / height) <= 2 and 0 <= first <= step / 2


BLOCK, CONV, NORM = nn.Sequential(), nn.Conv2d(8, 8, 1), nn.LayerNorm(8)


@pytest.mark.parametrize(
    ("shape", "picture", "seen", "layout"),
    [
        ((8, 4, 6), (64, 96), (CONV, (8, 4, 6)), "channels_first"),
        ((4, 6, 8), (64, 96), (CONV, (8, 4, 6)), "channels_last"),  # permuted after it
        ((4, 6, 8), (64, 96), (NORM, (4, 6, 8)), "channels_last"),
        ((8, 4, 6), (64, 96), (NORM, (4, 6, 8)), "channels_first"),
        ((8, 2, 3), (64, 96), (CONV, (8, 4, 6)), "channels_first"),  # pooled after it
        ((8, 4, 6), (64, 320), (CONV, (8, 4, 6)), None),  # not the picture's proportions
        ((32, 32, 8), (64, 64), (CONV, (8, 8, 8)), "channels_last"),
        ((8, 8, 8), (64, 64), (CONV, (8, 8, 8)), None),
        ((8, 8, 8), (64, 64), None, None),
        ((768, 2, 2), (64, 64), None, "channels_first"),
        ((2, 2, 768), (64, 64), None, "channels_last"),
        ((2, 768, 2), (64, 64), None, None),
    ],
)
def test_what_fits_both_layouts_or_neither_is_refused(shape, picture, seen, layout):
    said = [witness(seen[0], torch.zeros(1, *seen[1]))] if seen else []
    model, output = nn.Sequential(BLOCK, CONV, NORM), torch.zeros(2, *shape)
    if layout is None:
        with pytest.raises(ValueError, match="name the layout"):
            layout_of([model], BLOCK, output, picture, said)
    else:
        assert layout_of([model], BLOCK, output, picture, said) == layout


def test_witnesses_in_the_block_come_before_those_around_it_and_must_agree():
    block, outer = nn.Sequential(CONV), nn.Conv2d(6, 6, 1)
    model, output = nn.Sequential(outer, block), torch.zeros(2, 8, 6, 6)
    inside, outside = Witness(CONV, 8, (6, 6)), Witness(outer, 6, (8, 6))
    assert layout_of([model], block, output, None, [outside, inside]) == "channels_first"
    assert layout_of([model], block, output, None, [outside]) == "channels_last"
    both = [Witness(CONV, 8, (6, 6)), Witness(CONV, 6, (8, 6))]
    with pytest.raises(ValueError, match="both ways"):
        layout_of([model], block, output, None, both)


def test_a_norm_says_by_its_size_which_axis_it_is_for():
    norm = nn.LayerNorm(8)
    assert witness(norm, torch.zeros(1, 4, 6, 8)) == (norm, 8, (4, 6))
    assert witness(norm, torch.zeros(1, 8, 4, 6)) == (norm, 8, (4, 6))
    assert witness(norm, torch.zeros(1, 8, 4, 8)) is None
