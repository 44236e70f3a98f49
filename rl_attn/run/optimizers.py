"""torch's optimizers without torch's compiler, whose import takes longer than that of all of torch.

They import it when they are made and in every step, only to tell it where a compiled step has to
break (`torch._disable_dynamo`, `_use_grad_for_differentiable`). Nobody compiles a step here.
"""

from inspect import unwrap
from typing import TypeVar, cast

import torch

T = TypeVar("T", bound=torch.optim.Optimizer)

#: Methods that torch wraps for its compiler's sake.
_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def eager(kind: type[T]) -> type[T]:
    """A class that makes the same steps as `kind`, to the bit, and cannot be compiled.

    >>> adam = eager(torch.optim.Adam)([torch.zeros(3, requires_grad=True)], lr=0.1)
    >>> isinstance(adam, torch.optim.Adam)
    True
    """
    methods = {name: unwrap(getattr(kind, name)) for name in _WRAPPED}
    methods["step"] = torch.no_grad()(unwrap(kind.step))
    return cast(type[T], type(kind.__name__, (kind,), methods))
