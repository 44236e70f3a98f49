"""Weights from a file of the user's, wherever they fit a backbone."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rl_attn.errors import UserError, one_line


def load_weights(model: nn.Module, file: Path) -> str:
    """Take a file's weights (.safetensors, or torch's) wherever name and shape fit, and say in one
    line what stays fresh: a head of other classes does. UserError: no weights, or none that fit."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file
        reason = one_line(error)[:200]
        raise UserError(f"--weights {file} holds no weights that can be read: {reason}") from None
    for key in ("state_dict", "model_state_dict", "model"):
        found = found.get(key, found) if isinstance(found, dict) else {}
    own = model.state_dict()
    prefixes = ("", "module.", "model.", "_orig_mod.", "backbone.")
    fits: dict[str, Tensor] = {}
    for name, value in found.items():
        bare = [name.removeprefix(p) for p in prefixes] + [f"model.{name}"]
        places = [n for n in bare if n in own and getattr(value, "shape", None) == own[n].shape]
        fits |= {places[0]: value} if places else {}
    fresh = [name for name in own if name not in fits]
    if not any(value.is_floating_point() and value.ndim > 1 for value in fits.values()):
        raise UserError(
            f"--weights {file} fits nothing of the backbone: it holds {', '.join(list(found)[:3])} "
            f"..., the backbone {', '.join(list(own)[:3])} ..."
        )
    model.load_state_dict(fits, strict=False)
    left = f"; fresh: {', '.join(fresh[:4])}{' ...' * (len(fresh) > 4)}" if fresh else ""
    return f"weights of {file}: {len(fits)} of {len(own)} tensors{left}"
