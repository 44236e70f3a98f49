"""VAPL: a model f_m that a person's prompts steer, and f_o beside it that needs none (Zhang et al.
2024, "Visual Attention Prompted Prediction and Learning").

    L = CE(f_m(I * A)) + CE(f_o(I)) + lambda_1 |W_o - W_m|^2 + lambda_2 |S_o(I) - S_m(I * A)|^2

A is the refined prompt (`refinement`), W the convolutions' parameters and S the tapped feature
maps. Training alternates (Algorithm 1): some passes over the pictures train f_m and f_o with the
weighting g of the masks held (Eq. 9, 10), then as many train g with both held, on
L_Pred + lambda_3 (g(1) - 1)^2 (Eq. 11). The trained network, which everything else here measures,
is f_o; f_m and g are the method's own, and its measures begin with "prompted_".

Chosen where the paper is silent:
- F and G are passes over the data, as 5.2's "10 epochs of 5 iterations, effectively 50" suggests:
  10 x (5 + 5) = 100 epochs of the training command.
- f_m begins as a copy of f_o, so that both losses between them begin at 0.
- "Parameters before the fully connected layers" are all convolutions', as the line below Eq. 5
  says; BatchNorm's are each model's own, since they see differently bright pictures.
- S is where attention is tapped, before pooling: the places must be shared. |.|^2 is summed
  over the parameters as printed, and over the maps printed too (`--activation-norm sum`) or as the
  mean, which does not depend on the backbone's size.
- A is a constant for f_m in Eq. 9: that is what alternating is for.
- While f_m and f_o are held they are in evaluation mode: not even their BatchNorm statistics move.
  A mask's confidence is then the same in every pass, and is computed once for all of them.
- Pictures without a prompt train f_o alone. Pictures without an object (LIDC's and pancreas'
  negatives) are prompted as if they had another picture's, in training and in use: else prompts
  that preclude all would tell the class. One epoch's masks are the same for all its pictures.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.errors import UserError
from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, task_loss

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.attention import Cells, Scores
    from rl_attn.supervised.batches import Batch, Batches
    from rl_attn.supervised.network import Network
    from rl_attn.supervised.prompts import Annotator


Scale = Literal["undecided", "max", "clamp"]


@dataclass
class Vapl(Method):
    """Co-training of a prompted and a plain model on pictures with incomplete prompts."""

    name: ClassVar[str] = "vapl"
    tasks: ClassVar[tuple[str, ...]] = ("classes",)
    separable: ClassVar[bool] = False
    validated: ClassVar[bool] = False
    masks_alone: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {
            "backbone": "resnet18",
            "optimizer": "adam",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "batch_size": 16,
            "epochs": 100,
        },
        **{data: {"prompts": "given"} for data in ("gender", "scene")},
    }

    lambda_parameters: NotNegative[float] = 0.1
    """lambda_1, of the distance between the models' convolutions (VAPL-2: 0)"""
    lambda_activations: NotNegative[float] = 1.0
    """lambda_2, of the distance between their feature maps (VAPL-3: 0)"""
    lambda_aggregation: NotNegative[float] = 10.0
    """lambda_3, of (g(1) - 1)^2"""
    refine: bool = True
    """fill in undecided pixels; without, only what is indispensable is seen (VAPL-1)"""
    learn_weights: bool = True
    """learn g; without, masks are weighed by their confidence (VAPL-4)"""
    activation_norm: Literal["sum", "mean"] = "sum"
    """how the squared distance of feature maps is averaged: as printed, or independent of their
    size"""
    model_passes: int = 5
    """F: epochs in a row that train both models"""
    weight_passes: int = 5
    """G: epochs in a row that then train g"""

    perturbed_masks: int = 5000
    """N, random completions of a prompt"""
    keep: float = 0.1
    """p, the probability that an undecided pixel is kept in one of them"""
    cells: int = 0
    """side of the grid that completions are drawn on (0: each pixel by itself)"""
    tolerance: float = 0.0
    """standard error of A at which fewer completions are enough (0: always all)"""
    scale: Scale = "undecided"
    """how A is brought to [0, 1]: by the largest value of an undecided pixel, so that marking one
    pixel does not dim the rest; by its maximum, as Eq. 3's proportions are; or cut at 1"""
    reuse_scores: bool = False
    """score completions once for all F passes instead of in each: F times cheaper, slightly out of
    date"""

    prompts: Literal["masks", "given"] = "masks"
    """made from true masks, or the masks are prompts: white indispensable, black precluded, grey
    undecided"""
    prompted_pictures: int = 0
    """how many training pictures have a prompt, drawn by the seed (0: all)"""
    factual: float = 0.8
    """share of the object that prompts mark as indispensable"""
    counterfactual: float = 0.5
    """share of the rest that they mark as precluded"""
    noise: float = 0.0
    """share of a prompt's strokes that say the opposite"""
    shift: float = 0.0
    """how far each prompt is misplaced, as a share of the picture's side"""

    def check(self, settings: Any) -> None:
        self.annotator().check()
        for name in ("perturbed_masks", "model_passes", "weight_passes"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be 1 or more, got {getattr(self, name)}")
        learns = self.refine and self.learn_weights
        if learns and settings.epochs <= self.model_passes:
            raise UserError(
                f"--epochs {settings.epochs} ends before g is trained, after --model-passes "
                f"{self.model_passes}: take more epochs, or --no-learn-weights"
            )
        if not 0 < self.keep < 1:
            raise UserError(f"--keep must be between 0 and 1, got {self.keep}")
        if min(self.cells, self.tolerance, self.prompted_pictures) < 0:
            raise UserError("--cells, --tolerance and --prompted-pictures must be 0 or more")

    # ------------------------------------------------------------------ prompts

    def annotator(self) -> Annotator:
        from rl_attn.supervised.prompts import Annotator

        return Annotator(self.factual, self.counterfactual, self.noise, self.shift)

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        """Prompts as masks, those of pictures that are to have none grey all over."""
        import torch

        from rl_attn.supervised.prompts import GREY, encode

        generator = torch.Generator().manual_seed(seed)
        if self.prompts == "masks":
            masks = encode(self.annotator()(masks, generator))
        if 0 < self.prompted_pictures < len(masks):
            masks, order = masks.clone(), torch.randperm(len(masks), generator=generator)
            masks[order[self.prompted_pictures :].to(masks.device)] = GREY
        return masks

    def target(
        self,
        masks: Tensor,
        grid: tuple[int, int] | None,
        cells: Cells | None = None,
        known: Tensor | None = None,
    ) -> Tensor:
        from rl_attn.supervised.prompts import decode

        return decode(masks, known)

    # ------------------------------------------------------------------ models

    def module(self, size: tuple[int, int], grid: tuple[int, int]) -> nn.Module:
        from torch import nn

        from rl_attn.supervised.weighting import MaskWeighting

        self.size = size
        self.state = nn.Module()
        self.state.weighting = MaskWeighting()
        return self.state

    def prepare(self, network: Network, train: Batches) -> None:
        import torch

        from rl_attn.supervised.network import Network
        from rl_attn.supervised.refinement import Refinement

        self.state.prompted = deepcopy(network.model)
        self.prompted = Network(self.state.prompted, network.layer, network.precision)
        self.refinement = Refinement(
            self.perturbed_masks, self.keep, self.cells, self.tolerance, self.scale
        )
        self.still = train.targets is not None  # pictures and prompts are alike in every epoch
        number, device = len(train), train.split.labels.device
        kept = (self.perturbed_masks, number) if self.still and self.refine else (0, number)
        self.state.register_buffer("confidences", torch.zeros(kept, device=device))
        self.state.register_buffer("used", torch.zeros(number, dtype=torch.long, device=device))
        self.state.register_buffer("scored", torch.full((number,), -1, device=device))  # in draw

    def trains_models(self, epoch: int) -> bool:
        """Whether this epoch trains f_m and f_o, or g."""
        if not (self.refine and self.learn_weights):
            return True
        return epoch % (self.model_passes + self.weight_passes) < self.model_passes

    def begin(self, network: Network, epoch: int) -> None:
        models = self.trains_models(epoch)
        for model in (network.model, self.state.prompted):
            model.train(models).requires_grad_(models)
        self.state.weighting.requires_grad_(not models)

    def weigh(self, confidences: Tensor) -> Tensor:
        """g."""
        return self.state.weighting(confidences) if self.learn_weights else confidences

    # ------------------------------------------------------------------ loss

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        import torch

        from rl_attn.supervised.prompts import given

        output = network(batch.pictures)
        logs = {"losses/plain": task_loss(output, batch)}
        zero = torch.zeros_like(logs["losses/plain"])
        rows = given(batch.target).nonzero()[:, 0]
        if len(rows) > 1 or not self.prompted.model.training:  # BatchNorm cannot take a single one
            attention = self.refined(batch, rows, epoch)  # (rows, H, W)
            seen = self.prompted(batch.pictures[rows] * attention[:, None])
            task = task_loss(seen, batch, rows)
            distance = self.distance(output.features[rows], seen.features)
        else:
            task, distance = zero[rows], zero[rows]
        logs["losses/prompted"] = zero.index_copy(0, rows, task)
        logs["losses/activations"] = zero.index_copy(0, rows, distance)
        logs["losses/parameters"] = convolutions(network.model, self.state.prompted) + zero
        logs["losses/aggregation"] = self.state.weighting.end_error() + zero
        total = logs["losses/prompted"] + logs["losses/plain"]  # L_Pred
        if self.trains_models(epoch):
            total = total + self.lambda_parameters * logs["losses/parameters"]
            return total + self.lambda_activations * logs["losses/activations"], logs
        return total + self.lambda_aggregation * logs["losses/aggregation"], logs

    def distance(self, plain: Tensor, prompted: Tensor) -> Tensor:
        """L_Activ (B,) of maps (B, K, h, w)."""
        squares = (plain - prompted).float().square().flatten(1)
        return squares.sum(1) if self.activation_norm == "sum" else squares.mean(1)

    def refined(self, batch: Batch, rows: Tensor, epoch: int) -> Tensor:
        """A of a training batch's rows, (rows, H, W): with gradients where g is trained."""
        import torch

        from rl_attn.supervised.refinement import as_given

        prompts = batch.target[rows]
        if not self.refine or len(rows) == 0:
            return as_given(prompts)
        draw = self.draw_of(epoch)
        masks = self.refinement.draw(tuple(prompts.shape[1:]), draw)
        found = self.remembered(batch, rows, prompts, masks, draw)
        with torch.set_grad_enabled(not self.trains_models(epoch)):
            return self.refinement.aggregate(found, prompts, masks, self.weigh)

    def draw_of(self, epoch: int) -> int:
        """The seed of an epoch's masks: the epoch, or the first of those that share scores."""
        phase = epoch % (self.model_passes + self.weight_passes)
        if not self.trains_models(epoch):
            return epoch - phase + self.model_passes
        return epoch - phase if self.reuse_scores else epoch

    def remembered(self, batch: Batch, rows: Tensor, prompts: Tensor, masks, draw: int) -> Scores:
        """Confidences under the masks of a draw, computed once for pictures that stay alike."""
        from rl_attn.attention import Scores

        index, state = batch.index[rows], self.state
        known = (state.scored[index] == draw).all() if self.still else False
        if not known:
            labels = batch.labels[rows]
            found = self.refinement.scores(
                self.prompted, batch.pictures[rows], prompts, labels, masks, self.weigh
            )
            if not self.still:
                return found
            state.confidences[:, index], state.used[index] = found.values, found.used
            state.scored[index] = draw
        return Scores(state.confidences[:, index], state.used[index])

    # ------------------------------------------------------------------ prediction

    def predict(self, pictures: Tensor, prompts: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """f_m's logits (B, classes) of pictures that nobody has labelled, and the A it saw.

        pictures: (B, C, H, W), normalised. prompts: int8 (B, H, W).
        """
        import torch

        from rl_attn.supervised.evaluation import at_rest
        from rl_attn.supervised.refinement import as_given

        attention = as_given(prompts)
        with torch.no_grad():
            if self.refine:
                labels = self.refinement.guess(self.prompted, pictures, prompts)
                masks = self.refinement.draw(tuple(prompts.shape[1:]), seed)
                found = self.refinement.scores(
                    self.prompted, pictures, prompts, labels, masks, self.weigh
                )
                attention = self.refinement.aggregate(found, prompts, masks, self.weigh)
            with at_rest(self.prompted):
                return self.prompted.plain(pictures * attention[:, None]).logits, attention

    def measures(self, network: Network, batches: Batches, seed: int) -> dict[str, float]:
        """How well f_m predicts with prompts that are made, or given, as in training; {} without
        masks."""
        import torch

        from rl_attn.supervised.batches import Batches
        from rl_attn.supervised.prompts import decode, encode
        from rl_attn.supervised.scoring import scores

        masks = batches.split.masks
        if masks is None:
            return {}
        split = batches.split
        if self.prompts == "masks":
            generator = torch.Generator().manual_seed(seed)
            split = replace(split, masks=encode(self.annotator()(masks, generator)))
        made = Batches(split, batches.view)
        made.give_target(decode, once=False)
        parts = [
            self.predict(batch.pictures, batch.target, seed)[0].softmax(1)
            for batch in made.in_order(64)
        ]
        probabilities = torch.cat(parts)
        found = scores(probabilities.argmax(1), batches.split, probabilities)
        return {f"prompted_{name}": value for name, value in found.items()}


def convolutions(first: nn.Module, second: nn.Module) -> Tensor:
    """L_Param: the squared distance of the convolutions' parameters, a scalar."""
    import torch
    from torch import nn

    pairs = zip(first.modules(), second.modules(), strict=True)
    kind = nn.modules.conv._ConvNd
    parts = [
        (a - b).square().sum()
        for one, other in pairs
        if isinstance(one, kind)
        for a, b in zip(one.parameters(), other.parameters(), strict=True)
    ]
    return torch.stack(parts).sum()
