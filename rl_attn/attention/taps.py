"""Take a layer's feature maps out of the task's own forward.

    with tap(model, "layer4") as features:
        logits = model(x)
    attention = grad_cam(logits.gather(1, y[:, None])[:, 0], features())

The maps are (B, K, h, w) for every network: class tokens are dropped and channels-last layouts
permuted (see `grids.py`). They lie in the graph of the forward, so a loss on a map trains the
layers below *and*, through second derivatives, the layers above. Fused attention has no second
derivative (pytorch#116350): from the tapped layer to the end of the forward, and only there, a tap
has scaled-dot-product attention computed by its MATH backend. What gradient checkpointing computes
again in backward is computed as it was in the forward.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from rl_attn.attention.backbones import OUTPUT, ancestors, find_layer, unwrapped
from rl_attn.attention.cells import Cells
from rl_attn.attention.fields import find_cells, is_picture
from rl_attn.attention.grids import Layout, as_maps, grid_of, prefix_of
from rl_attn.attention.layouts import Witness, is_witness, layout_of, witness
from rl_attn.attention.recomputation import in_recomputations, recomputing
from rl_attn.attention.standard import standard_layer

_cuda = torch.backends.cuda  # where the switches of all devices are
#: Each attention backend's state and switch; of the four, MATH alone has a second derivative.
BACKENDS = (
    (_cuda.math_sdp_enabled, _cuda.enable_math_sdp),
    (_cuda.flash_sdp_enabled, _cuda.enable_flash_sdp),
    (_cuda.mem_efficient_sdp_enabled, _cuda.enable_mem_efficient_sdp),
    (_cuda.cudnn_sdp_enabled, _cuda.enable_cudnn_sdp),
)
MATH_ALONE = (True, False, False, False)

#: Layouts that had to be found: model -> layer -> layout and, of tokens, those before the patches.
_LAYOUTS: WeakKeyDictionary = WeakKeyDictionary()
#: Where cells lie: model -> (layer, size of the picture, grid) -> cells.
_CELLS: WeakKeyDictionary = WeakKeyDictionary()


@contextmanager
def tap(
    model: nn.Module,
    layer: str | None = None,
    *,
    layout: Layout | None = None,
    prefix: int | None = None,
    grid: tuple[int, int] | None = None,
    second_order: bool = True,
) -> Iterator["Features"]:
    """Record the feature maps of `layer` in every forward of `model` inside the block.

    Args:
        layer: a name of `model.named_modules()`; None for the standard tap (`standard_layer`);
            "output.<field>" for a field of the model's own output.
        layout: of the layer's output, where its type does not tell; needed where the cells found
            would not have the picture's proportions.
        prefix: tokens in front of the patches, where the model does not tell.
        grid: (h, w) of the patches, where the picture's proportions do not tell.
        second_order: keep attention above the tap differentiable twice.

    Yields:
        `features`: features() is the last forward's maps, also after the block.

    >>> from torchvision.models import resnet18
    >>> model = resnet18(num_classes=10).eval()
    >>> with tap(model, "layer4") as features:
    ...     logits = model(torch.rand(2, 3, 64, 64))
    >>> features().shape
    torch.Size([2, 512, 2, 2])
    >>> grad_cam(logits[:, 3], features()).shape
    torch.Size([2, 2, 2])
    """
    layer = standard_layer(model) if layer is None else layer
    features = Features(unwrapped(model), layer, (layout, prefix, grid), second_order)
    handles = features.attach()
    try:
        with in_recomputations(features.again):
            yield features
    finally:
        features.end()
        features.detach(handles)


@contextmanager
def differentiable_attention() -> Iterator[None]:
    """Scaled-dot-product attention that can be differentiated twice, for a forward inside.

    >>> layer = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    >>> tokens = torch.rand(1, 3, 4, requires_grad=True)
    >>> with differentiable_attention():
    ...     score = layer(tokens, tokens, tokens)[0].sum()
    >>> (first,) = torch.autograd.grad(score, tokens, create_graph=True)
    >>> first.sum().backward()  # twice
    """
    math = partial(sdpa_kernel, SDPBackend.MATH)
    with math(), in_recomputations(lambda: math):
        yield


class Features:
    """The maps of the last forward; made by `tap`."""

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        shape: tuple,
        second_order: bool,
        recomputes: bool = False,
    ):
        self.model, self.layer, self.second_order = model, layer, second_order
        self.layout, self.prefix, self.grid = self.shape = shape
        self.recomputes = recomputes  # whether it hears recomputations alone, or forwards alone
        self.maps: Tensor | None = None
        self.called, self.runs, self.version = False, 0, 0
        self.picture: tuple[int, int] | None = None  # (H, W) of the model's input
        self.example: tuple = ()  # its arguments, of the first sample
        self.backends: tuple[bool, ...] = _backends()  # as they were when the forward began
        self.forced = False
        self.witnesses: list[Witness] = []  # of the layout, in this forward
        self.copied: list[dict] = []  # what each deepcopy of the model made of what

    def __call__(self) -> Tensor:
        """(B, K, h, w), in the graph of the forward that made them; `cells` says where they lie."""
        if self.maps is None:
            raise RuntimeError(self._why_none())
        if self.runs > 1:
            raise RuntimeError(
                f"layer {self.layer!r} ran {self.runs} times in one forward, and the score depends "
                "on each of them; tap a layer that runs once, such as the block around it"
            )
        if _version(self.maps) != self.version:
            raise RuntimeError(
                f"the output of {self.layer!r} was changed in place after the tap (by "
                "ReLU(inplace=True) or +=); tap the layer that changed it, or the block around it"
            )
        return self.maps

    def _why_none(self) -> str:
        if not self.called:
            return f"layer {self.layer!r} has not run: call the model inside the tap"
        return (
            f"the forward did not call layer {self.layer!r}; tap one that it calls, such as its "
            "last part or the block around it"
        )

    @property
    def cells(self) -> Cells:
        """Where the cells of the maps lie in the picture (`find_cells`); found once a size."""
        known = _CELLS.setdefault(self.model, {})
        place = (self.layer, self.picture, tuple(self().shape[2:]))
        if place not in known:
            before = vars(self).copy()  # its own hooks hear the probe too
            try:
                known[place] = find_cells(self._again, *self.example, model=self.model)
            finally:
                vars(self).update(before)
        return known[place]

    def _again(self, args: tuple, kwargs: dict) -> Tensor:
        options = {"layout": self.layout, "prefix": self.prefix, "grid": self.grid}
        with tap(self.model, self.layer, **options) as features:
            self.model(*args, **kwargs)
        return features()

    def attach(self) -> list:
        field = self.layer.startswith(OUTPUT)
        layer = self.model if field else _last_part(self.model, find_layer(self.model, self.layer))
        heard = (
            []
            if field or self.layout or self.layer in _LAYOUTS.get(self.model, ())
            else [module for module in self.model.modules() if is_witness(module)]
        )
        return [
            *(module.register_forward_hook(self.hear) for module in heard),
            self.model.register_forward_pre_hook(self.begin, with_kwargs=True),
            self.model.register_forward_hook(self.end, always_call=True),
            layer.register_forward_hook(self.take_field if field else self.take),
        ]

    def detach(self, handles: list) -> None:
        """Remove the hooks, also from copies of the model made meanwhile."""
        for handle in handles:
            for hooks in (handle.hooks_dict_ref(), *(ref() for ref in handle.extra_dict_ref)):
                for copies in self.copied:
                    copies.get(id(hooks), {}).pop(handle.id, None)
            handle.remove()
        self.copied.clear()

    def __deepcopy__(self, memo: dict) -> "Features":
        """Of the hooks of a copied model: they record for themselves, and go when the tap ends."""
        self.copied.append(memo)
        model = memo.get(id(self.model), self.model)
        return Features(model, self.layer, self.shape, self.second_order, self.recomputes)

    def again(self) -> Callable[[], AbstractContextManager]:
        """For a checkpointed region that begins now: what its recomputation runs in, where the
        hooks of a tap that records nothing do as this one's did."""
        double = Features(self.model, self.layer, self.shape, self.second_order, recomputes=True)
        double.picture, backends = self.picture, _backends()

        @contextmanager
        def context() -> Iterator[None]:
            before = _backends()
            _set_backends(backends)
            handles = double.attach()
            try:
                with in_recomputations(double.again):  # regions within the region
                    yield
            finally:
                double.detach(handles)
                _set_backends(before)

        return context

    def hears(self) -> bool:
        return recomputing() == self.recomputes

    def begin(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        if not self.hears():
            return
        self.end()
        self.maps, self.called, self.runs, self.backends = None, True, 0, _backends()
        self.witnesses = []
        self.example = pytree.tree_map(_first_sample, (args, kwargs))
        pictures = (leaf for leaf in pytree.tree_leaves(self.example) if is_picture(leaf))
        self.picture = next((tuple(leaf.shape[2:]) for leaf in pictures), None)

    def end(self, *_: object) -> None:
        if self.forced:
            _set_backends(self.backends)
            self.forced = False

    def hear(self, layer: nn.Module, args: tuple, output: object) -> None:
        if self.hears() and (said := witness(layer, output)):
            self.witnesses.append(said)

    def take_field(self, model: nn.Module, args: tuple, output: object) -> None:
        if not self.hears():
            return
        field = self.layer.removeprefix(OUTPUT)
        self.keep(getattr(output, field, None) if not isinstance(output, dict) else output[field])

    def take(self, layer: nn.Module, args: tuple, output: object) -> Tensor | None:
        if not self.hears():
            return None
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {self.layer!r} returns a {type(output).__name__}, not a tensor; tap a "
                "layer inside or around it"
            )
        if output.is_quantized:
            raise TypeError(
                f"layer {self.layer!r} returns quantised numbers, which have no gradient; tap the "
                "model as it was before it was quantised"
            )
        if any(output is argument for argument in args):  # an identity: others read it as well
            output = output.view_as(output)
        if torch.is_grad_enabled() and not output.requires_grad:  # all below is frozen
            output = output.detach().requires_grad_()
        maps, output = as_maps(output, *self.shape_of(output))
        self.keep(maps)
        return output

    def shape_of(self, output: Tensor) -> tuple[Layout, int, tuple | None]:
        around, layer = ancestors(self.model, self.layer), self.model.get_submodule(self.layer)
        known = _LAYOUTS.setdefault(self.model, {})
        layout, prefix = (self.layout, None) if self.layout else known.get(self.layer, (None, None))
        if layout is None:
            layout = layout_of(around, layer, output, self.picture, self.witnesses)
        if layout == "tokens" and prefix is None:
            grids = [said.grid for said in reversed(self.witnesses)]
            prefix = prefix_of(around, output.shape[1], grids)
        if not self.layout:
            known[self.layer] = layout, prefix
        if layout != "tokens":
            return layout, 0, None
        prefix = (prefix or 0) if self.prefix is None else self.prefix
        return layout, prefix, self.grid or grid_of(output.shape[1] - prefix, self.picture)

    def keep(self, maps: Tensor | None) -> None:
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            raise TypeError(f"{self.layer!r} is no tensor (B, K, h, w) of the model's output")
        if not self.recomputes:
            self.maps, self.version, self.runs = maps, _version(maps), self.runs + 1
        if self.second_order and torch.is_grad_enabled():
            _set_backends(MATH_ALONE)
            self.forced = True


def _first_sample(argument: object) -> object:
    if isinstance(argument, Tensor) and argument.ndim:
        return argument[:1].detach()
    return argument


def _last_part(model: nn.Module, layer: nn.Module) -> nn.Module:
    """Of a Sequential its last part, which returns the same: checkpointing may call parts alone."""
    if not isinstance(layer, nn.Sequential) or not len(layer):
        return layer
    if type(layer).forward is not nn.Sequential.forward:
        return layer
    part = layer[-1]
    places = [module for _, module in model.named_modules(remove_duplicate=False) if module is part]
    return _last_part(model, part) if len(places) == 1 else layer


def _version(maps: Tensor) -> int:
    """How often a tensor was changed in place; of one of inference_mode nobody counts."""
    return 0 if maps.is_inference() else maps._version


def _backends() -> tuple[bool, ...]:
    return tuple(enabled() for enabled, _ in BACKENDS)


def _set_backends(states: tuple[bool, ...]) -> None:
    for (_, enable), state in zip(BACKENDS, states, strict=True):
        enable(state)
