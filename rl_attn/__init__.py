"""rl-attn: vision agents and classifiers that look where they should.

    run = rl_attn.load("runs/masked-folder/...")       # or an agent's run, or a model.zip
    found = run.explain("x.png")
    rl_attn.show(found.image, found.maps, found.mask)

Names are imported when they are used, so that a command line does not pay for them.
"""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of

if TYPE_CHECKING:
    from rl_attn.loading import load
    from rl_attn.overlay import show

__all__ = ["load", "show"]

__getattr__ = names_of(__name__, __file__)
