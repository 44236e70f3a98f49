"""rl-attn: vision agents and classifiers that look where they should.

    run = rl_attn.load("runs/masked-folder/...")       # or an agent's run, or a model.zip
    found = run.explain("x.png")
    rl_attn.show(found.image, found.maps, found.mask)

Names are imported when they are used, so that a command line does not pay for them.

>>> show(np.zeros((8, 8)), torch.ones(1, 4, 4)).mode
'RGB'
>>> load("nowhere")
Traceback (most recent call last):
rl_attn.errors.UserError: nowhere does not exist: name the folder of a run, or a model.zip
"""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of

if TYPE_CHECKING:
    from rl_attn.loading import load
    from rl_attn.overlay import show

__all__ = ["load", "show"]

__getattr__ = names_of(__name__, __file__)
