"""Where the cells of any network's feature maps lie in the picture: its receptive fields, found.

    cells = find_cells(model.features, pictures)         # (first, step), see `cells.py`

A forward records in its autograd graph every convolution and pooling that ran, module or function,
with kernel, stride and padding. On the way from the maps back to the picture, cell i of a layer's
output is the window round pixel i * stride + (kernel - 1) / 2 - padding of its input (Araujo et al.
2019, Computing Receptive Fields of Convolutional Neural Networks); everything else (norms,
activations, attention, reshapes, sums of branches) leaves a cell where it is.

Where the graph does not tell (patches merged by a reshape, checkpoints, functions of one's own) the
cells are probed: how strongly each pixel moves each row and column of cells. They are then taken to
cover the picture evenly if that is within a cell of what is seen, else to lie where it says.

Letters: K feature maps of h x w cells, H x W pixels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from rl_attn.attention.backbones import evaluating, leaves
from rl_attn.attention.cells import Cells, Line, evenly, lines

#: What a node of the graph does to places, per axis: (offset, factor); None: it cannot be said.
_Move = tuple[tuple[float, float], tuple[float, float]] | None


def find_cells(
    maps_of: Callable[..., Tensor], *inputs: Any, model: nn.Module | None = None
) -> Cells:
    """Where the cells of the maps that `maps_of(*inputs)` returns lie in its picture.

    Args:
        maps_of: gives feature maps (B, K, h, w).
        inputs: its arguments, one of which is (or holds) pictures (B, C, H, W), seen here as
            floating point; one sample is enough.
        model: what it runs, where it is no method of a module: put into evaluation mode meanwhile,
            so that neither statistics nor the random state move.

    >>> layer = torch.nn.Conv2d(1, 1, kernel_size=4, stride=4)
    >>> find_cells(layer, torch.rand(1, 1, 16, 16))
    (1.5, 4.0)
    """
    owner: Any = getattr(maps_of, "__self__", maps_of) if model is None else model
    given, tree = pytree.tree_flatten(inputs)
    chosen = next((i for i, leaf in enumerate(given) if is_picture(leaf)), None)
    if chosen is None:
        raise ValueError("no picture (B, C, H, W) is among the arguments")
    first = [leaf[:1].detach() if isinstance(leaf, Tensor) else leaf for leaf in given]
    noise = torch.randn(first[chosen].shape, generator=torch.Generator().manual_seed(0))
    kind = first[chosen] if first[chosen].is_floating_point() else first[chosen].float()
    first[chosen] = picture = noise.to(kind).requires_grad_()
    float32 = torch.autocast(picture.device.type, enabled=False)
    with evaluating(owner), torch.inference_mode(False), torch.enable_grad(), float32:
        maps = maps_of(*pytree.tree_unflatten(first, tree))
        size, grid = tuple(picture.shape[2:]), tuple(maps.shape[2:])
        return _read(maps, picture, size, grid) or _probe(maps, picture, size, grid)


def is_picture(leaf: Any) -> bool:
    """Whether an argument of a network is pictures (B, C, H, W)."""
    return isinstance(leaf, Tensor) and leaf.ndim == 4


# ---------------------------------------------------------------------- read


def _read(maps: Tensor, picture: Tensor, size: tuple, grid: tuple) -> Cells | None:
    """From the graph; None where it does not tell, or tells of cells that do not fill the picture.

    Unpadded borders may be wide, but not much wider on one side than on the other.
    """
    found = _places(maps, picture)
    if found is None:
        return None
    for (first, step), pixels, number in zip(found, size, grid, strict=True):
        after = pixels - 1 - (first + step * (number - 1))  # pixels beyond the last cell's centre
        if abs(after - first) > step:
            return None
    return found[0] if found[0] == found[1] else found


def _places(maps: Tensor, picture: Tensor) -> tuple[Line, Line] | None:
    """The lines along rows and columns by which all ways through the graph reach the picture."""
    start = ((0.0, 1.0), (0.0, 1.0))
    seen = {maps.grad_fn: start}
    waiting, found = [maps.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        move = _move(node)
        if move is None:
            return None
        rows, columns = (
            (first * factor + offset, step * factor)
            for (first, step), (offset, factor) in zip(seen[node], move, strict=True)
        )
        lines = rows, columns
        followers = [n for n, _ in node.next_functions if n is not None]
        if "Convolution" in node.name():  # not along the way to its weights
            followers = [n for n, _ in node.next_functions[:1] if n is not None]
        for following in followers:
            if getattr(following, "variable", None) is picture:
                found.add(lines)
            elif following not in seen:
                seen[following] = lines
                waiting.append(following)
            elif seen[following] != lines and picture in leaves(following):
                return None
    return found.pop() if len(found) == 1 else None


def _move(node: Any) -> _Move:
    """By its saved attributes: output cell i looks at input i * factor + offset."""
    name = node.name()
    if "Convolution" in name:
        if node._saved_transposed:
            return None
        if len(node._saved_stride) != 2:
            return _STAY
        return _window(node, node._saved_weight.shape[2:], node._saved_dilation)
    if "Pool2D" in name and "Adaptive" not in name:
        dilation = getattr(node, "_saved_dilation", (1, 1))
        return _window(node, node._saved_kernel_size, dilation)
    if name.startswith(("ConstantPadNd", "ReflectionPad2D", "ReplicationPad2D")):
        pad = node._saved_pad if hasattr(node, "_saved_pad") else node._saved_padding
        before = (*pad, 0, 0, 0)[:3:2]  # left, top; of channels last: of channels, left
        return (-float(before[1]), 1.0), (-float(before[0]), 1.0)
    if any(part in name for part in _OPAQUE):
        return None
    return _STAY


_STAY = ((0.0, 1.0), (0.0, 1.0))
#: Nodes that move cells in ways that are not read here.
_OPAQUE = ("Upsample", "GridSampler", "Im2Col", "Col2Im", "PixelShuffle", "PixelUnshuffle")


def _window(node: Any, kernel: Any, dilation: Any) -> _Move:
    stride = node._saved_stride or kernel  # of pooling, empty: as the kernel
    axes = zip(kernel, stride, node._saved_padding, dilation, strict=True)
    rows, columns = ((d * (k - 1) / 2 - p, float(s)) for k, s, p, d in axes)
    return rows, columns


# ---------------------------------------------------------------------- probe


def _probe(maps: Tensor, picture: Tensor, size: tuple, grid: tuple) -> Cells:
    """From what moves the first, the middle and the last row and column of the maps."""
    signs = torch.randn(maps.shape, generator=torch.Generator().manual_seed(1)).to(maps)
    even, found = evenly(size, grid), []
    for axis, (first, step) in zip((2, 3), lines(even), strict=True):
        numbers = np.unique([0, (grid[axis - 2] - 1) // 2, grid[axis - 2] - 1])
        centres = _centres(maps * signs, picture, axis, numbers)
        if np.abs(centres - (first + step * numbers)).max() > step:
            if len(numbers) > 1:
                step, first = np.polyfit(numbers, centres, 1)
            else:
                first = centres[0]
        found.append((float(first), float(step)))
    return found[0] if found[0] == found[1] else (found[0], found[1])


def _centres(maps: Tensor, picture: Tensor, axis: int, numbers: np.ndarray) -> np.ndarray:
    """Of these rows (axis 2) or columns (3) of cells, where the pixels that move it lie.

    The centre of mass of the gradient's fourth powers: attention moves every cell a little from
    everywhere, which would draw a mean of weaker powers to the middle.
    """
    pixels = torch.arange(picture.shape[axis], dtype=torch.float64)
    sums, centres = maps.sum(dim=(0, 1, 5 - axis)), []
    for number in numbers:
        (gradient,) = torch.autograd.grad(sums[number], picture, retain_graph=True)
        weight = gradient.double().square().sum(dim=(0, 1, 5 - axis)).square().cpu()
        total = weight.sum()
        centres.append(float((weight * pixels).sum() / total if total > 0 else pixels.mean()))
    return np.array(centres)
