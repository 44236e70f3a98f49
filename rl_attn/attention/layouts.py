"""How a layer lays out what it returns: channels first (B, K, h, w), last (B, h, w, K), or tokens.

A convolution's type says it, and so does a LayerNorm's. A block's does not, but such layers within
it, or around it, have said how many channels and cells there are (a *witness*), and only one layout
of the block's output fits that. Then come the words of timm and torchvision, and then the picture's
proportions. What fits both layouts, or neither, is refused: nothing is guessed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from rl_attn.attention.grids import Layout

#: Layers that work on (B, K, h, w) alone; LayerNorm and Linear work on the last axis.
CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Witness(NamedTuple):
    """What a layer returned whose layout is beyond doubt."""

    layer: nn.Module
    channels: int
    grid: tuple[int, int]


def is_witness(layer: nn.Module) -> bool:
    """Whether a layer can say how it lays out its output; a Linear may mix cells or channels."""
    return isinstance(layer, (*CHANNELS_FIRST, nn.LayerNorm))


def witness(layer: nn.Module, output: object) -> Witness | None:
    """What such a layer says by its output; None if that has no cells, or fits both layouts."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        return None
    _, first, second, third = output.shape
    if not isinstance(layer, nn.LayerNorm):
        return Witness(layer, first, (second, third))
    # Subclasses for channels first are common, so that its size has to tell.
    match (first,) == layer.normalized_shape, (third,) == layer.normalized_shape:
        case True, False:
            return Witness(layer, first, (second, third))
        case False, True:
            return Witness(layer, third, (first, second))
    return None


def layout_of(
    around: list[nn.Module],
    layer: nn.Module,
    output: Tensor,
    picture: tuple[int, int] | None = None,
    witnesses: Sequence[Witness] = (),
) -> Layout:
    """How `layer`, which is part of the modules `around` it, lays out its output.

    Args:
        picture: (H, W).
        witnesses: what has run in this forward up to the layer.

    Raises:
        ValueError: nothing tells, or the cells found so do not have the picture's proportions.
    """
    if output.ndim == 3:
        return "tokens"
    if output.ndim != 4:
        raise ValueError(
            f"a {type(layer).__name__} that returns {tuple(output.shape)} holds no feature maps; "
            "tap a layer that returns (B, K, h, w), (B, h, w, K) or tokens (B, N, K)"
        )
    if type(layer) in (nn.LayerNorm, nn.Linear):
        return "channels_last"
    if isinstance(layer, CHANNELS_FIRST) or getattr(layer, "dims", None) == [0, 3, 1, 2]:
        return "channels_first"
    found: set[Layout] = _said([layer, *around], output, witnesses)
    if not found and any(_passes_channels_last(module) for module in around):
        found = {"channels_last"}
    grids: dict[Layout, tuple[int, ...]] = {
        "channels_first": output.shape[2:],
        "channels_last": output.shape[1:3],
    }
    choices: set[Layout] = found or set(grids)
    kinds: list[Layout] = [kind for kind in choices if not picture or _alike(grids[kind], picture)]
    if len(kinds) == 1:
        return kinds[0]
    doubt = "can be laid out in both ways" if kinds else "holds no cells of the proportions"
    raise ValueError(
        f"a {type(layer).__name__} returns {tuple(output.shape)}, which {doubt} for a picture of "
        f"{' x '.join(map(str, picture or '??'))}: name the layout, "
        'tap(..., layout="channels_last") for (B, h, w, K) or "channels_first"'
    )


def _said(scopes: Sequence[nn.Module], output: Tensor, witnesses: Sequence[Witness]) -> set[Layout]:
    """The layouts of `output` that witnesses in the first of the scopes with one speak for."""
    _, first, second, third = output.shape
    for scope in scopes:
        inside = set(scope.modules())
        found: set[Layout] = set()
        for seen in witnesses:
            if seen.layer in inside:
                if first == seen.channels and _alike((second, third), seen.grid):
                    found.add("channels_first")
                if third == seen.channels and _alike((first, second), seen.grid):
                    found.add("channels_last")
        if found:
            return found
    return set()


def _passes_channels_last(module: nn.Module) -> bool:
    """Whether a model's blocks pass (B, h, w, K) along: timm says so, torchvision's is known."""
    if type(module).__name__ == "SwinTransformer":
        return True
    return str(getattr(module, "output_fmt", "")).endswith("NHWC")


def _alike(grid: tuple[int, ...], picture: tuple[int, int]) -> bool:
    """Whether cells are at most twice as wide as high, or the reverse, give or take one cell:
    convolutions without padding lose as many cells of the short side as of the long one."""
    (rows, columns), (height, width) = grid, picture
    wide, high = (columns - 1) * height, (rows - 1) * width
    return wide <= 2 * (rows + 1) * width and high <= 2 * (columns + 1) * height
