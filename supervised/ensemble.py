"""Independent runs of a small network, seed by seed, trained together as one batched model.

Parameters of S networks are stacked and `torch.vmap` runs each on its own pictures, so that S small
products become one that fills a GPU. Everything else sees a batch of S * B samples, the first
network's first: losses are per sample, so no network learns from another's.

The model has to say where its feature maps are: model(x) = model.head(model.features(x)).

Letters: S networks, B samples of each, K feature maps of h x w cells.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from rl_attn.attention import MAPS
from rl_attn.errors import UserError
from rl_attn.supervised.network import Network, Output
from rl_attn.supervised.tasks import Classes


class Stacked(nn.Module):
    """S networks of one kind as one module; parameters are (S, ...) each."""

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        parameters, buffers = stack_module_state(list(models))
        if buffers:
            raise ValueError(f"networks with buffers cannot be stacked, here {list(buffers)}")
        self.stacked = nn.ParameterDict({_key(k): nn.Parameter(v) for k, v in parameters.items()})
        self.names = {_key(name): name for name in parameters}
        self.copies, self.layer = len(models), getattr(models[0], "layer", None)
        self._halves = (_Half(models[0], "features"), _Half(models[0], "head"))  # not registered

    def features(self, x: Tensor) -> Tensor:
        """(S * B, C, H, W) -> (S * B, K, h, w)."""
        return self._each(self._halves[0], x)

    def head(self, features: Tensor) -> Tensor:
        """(S * B, K, h, w) -> (S * B, classes)."""
        return self._each(self._halves[1], features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def parameter(self, name: str) -> Tensor:
        """(S, ...) by its name in one network."""
        return self.stacked[_key(name)]

    def _each(self, half: nn.Module, x: Tensor) -> Tensor:
        stacked = {f"model.{self.names[key]}": value for key, value in self.stacked.items()}
        x = x.view(self.copies, -1, *x.shape[1:])  # (S, B, ...)
        run = torch.vmap(lambda p, part: functional_call(half, p, (part,)), randomness="different")
        return run(stacked, x).flatten(0, 1)


class _Half(nn.Module):
    """One method of a model as a module, which `functional_call` can run."""

    def __init__(self, model: nn.Module, method: str):
        super().__init__()
        self.model, self.method = model, method

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.model, self.method)(x)


class Ensemble(Network):
    """S networks, tapped between `features` and `head`."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        layer: str | None,
        precision: str = "fp32",
        attention: str = "grad-cam",
        task: Classes | None = None,
    ):
        first = models[0]
        if MAPS.kinds[attention] != "features":
            raise UserError(
                f"--ensemble trains on maps of features, and --attention {attention} takes "
                "forwards of its own: run the seeds one by one"
            )
        if not (hasattr(first, "features") and hasattr(first, "head")) or layer != first.layer:
            raise UserError(
                "--ensemble takes a small backbone with feature maps at its standard tap, i.e. "
                f"lenet, color-cnn or decoy-cnn, not {type(first).__name__} at {layer!r}"
            )
        super().__init__(Stacked(models), layer, precision, attention, task=task)
        self.copies, self.one = len(models), first
        self.linear = getattr(first, "classifier", None)

    def __call__(self, pictures: Tensor) -> Output:
        """Pictures (S * B, C, H, W), those of the first network first."""
        with self.autocast(pictures):
            features, logits = self.halves(pictures)
        if self.linear is None:
            return Output(logits.float(), features, cells=self.cells(pictures))
        weight = self.model.parameter("classifier.weight")  # (S, classes, K)
        classes = weight.shape[1]
        rows = torch.arange(self.copies, device=pictures.device) * classes
        return Output(
            logits.float(),
            features,
            weight.flatten(0, 1),
            rows.repeat_interleave(len(pictures) // self.copies),
            self.cells(pictures),
        )


def _key(name: str) -> str:
    """A parameter's name as a ParameterDict takes it, without dots."""
    return name.replace(".", "/")
