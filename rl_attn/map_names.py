"""Every attention map by its name and kind, without importing any: `attention/explain.py` has them.

    MAPS.check("grad-cm")              # UserError: unknown attention map 'grad-cm' (did you ...?)
    MAPS.kinds["smooth-grad"]          # "pixels"

The kinds are

    features    of feature maps, on their cells
    blocks      of a transformer's attention, by a forward of its own, on the feature maps' cells
    pixels      of the image's pixels, by forwards of their own
    probes      of the pixels too, from what the score becomes of changed images: no gradient, so
                that such a map explains and measures, and no loss can be trained through it
"""

from collections.abc import Callable
from typing import Any, Literal

from rl_attn.errors import UserError
from rl_attn.registry import Registry, S

#: (seen, **options) -> Attention, see `attention/explain.py`.
Explain = Callable[..., Any]

Kind = Literal["features", "blocks", "pixels", "probes"]

_KINDS: dict[Kind, tuple[str, ...]] = {
    "features": (
        "grad-cam",
        "grad-cam-plus-plus",
        "layer-cam",
        "hires-cam",
        "diff-grad-cam",
    ),
    "blocks": ("le-grad",),
    "pixels": (
        "input-gradient",
        "input-x-gradient",
        "guided-backpropagation",
        "integrated-gradients",
        "expected-gradients",
        "smooth-grad",
    ),
    "probes": ("greydanus", "sarfa", "rise"),
}


class Maps(Registry[Explain]):
    """The registry of maps; a map of one's own says its kind if it is not of feature maps."""

    def __init__(self) -> None:
        self.kinds = {name: kind for kind, names in _KINDS.items() for name in names}
        super().__init__(
            "attention map", modules=dict.fromkeys(self.kinds, "rl_attn.attention.explain")
        )

    def register(self, name: str, kind: Kind = "features") -> Callable[[S], S]:
        self.kinds.setdefault(name, kind)
        return super().register(name)

    def of_pixels(self, name: str) -> bool:
        """Whether its cells are the image's pixels, whatever the feature maps are."""
        return self.kinds[name] in ("pixels", "probes")

    def check_trained(self, name: str) -> None:
        """UserError for an unknown map, and for one that cannot be trained."""
        self.check(name)
        if self.kinds[name] == "probes":
            raise UserError(
                f"--attention {name} has no gradient, so that no loss can be trained through it: "
                f"train another map, and measure this one by rl-attn evaluate --attention {name}"
            )


MAPS = Maps()
