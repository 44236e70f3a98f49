"""Every method by its name: each file of this folder registers the one it is named after.

`METHODS["camal"]` imports `camal.py` and no other file; `--import` adds methods of other
places. `METHODS["camal+drac"]` is both together, see `rl_attn/rl/joined.py`.

>>> issubclass(METHODS["camal"], Method), METHODS["camal"]().camal
(True, 1.0)
>>> from typing import get_args
>>> get_args(Phase)
('act', 'learn', 'evaluate')
>>> from dataclasses import fields
>>> [field.name for field in fields(Context)][:3]  # what a hook finds in self.context
['agent', 'settings', 'device']
"""

from rl_attn.errors import UserError
from rl_attn.registry import Registry
from rl_attn.rl.methods.base import Context, Method, Phase


class Methods(Registry[type[Method]]):
    """A name may be several, joined by plus signs."""

    def __getitem__(self, name: str) -> type[Method]:
        names = name.split("+")
        if len(names) == 1:
            return super().__getitem__(name)
        from rl_attn.rl.joined import join

        if len(set(names)) < len(names):
            raise UserError(f"--method {name} names a method twice")
        return join(name, {each: super(Methods, self).__getitem__(each) for each in names})


METHODS = Methods("method", __name__)

__all__ = ["METHODS", "Context", "Method", "Phase"]
