"""A trained classifier that answers for any image: `rl_attn.load(run)` gives one.

run = rl_attn.load("runs/masked-folder/camal-resnet18-s1-...")
run.network, run.preprocess("x.png")             # nn.Module, (1, C, H, W)
run.explain("x.png", maps=["grad-cam", "le-grad"])
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rl_attn.errors import UserError, choose
from rl_attn.explanation import Explanation, explanation
from rl_attn.map_names import MAPS
from rl_attn.run.checkpoint import fitting, latest_checkpoint, load_checkpoint
from rl_attn.run.cli import read_options
from rl_attn.run.folder import load_args
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader, MaskWords
from rl_attn.supervised.data.images import ImageOptions, limits_of
from rl_attn.supervised.evaluation import at_rest
from rl_attn.supervised.inputs import Inputs, Source, opened
from rl_attn.supervised.loop import NetworkState, best_of
from rl_attn.supervised.network import Network
from rl_attn.supervised.settings import TrainSettings, args_type, method_of
from rl_attn.supervised.setup import make_network


class Classifier:
    """A network, what it takes, and how the files of its data set are read."""

    def __init__(
        self,
        network: Network,
        inputs: Inputs,
        images: ImageOptions | None = None,
        masks: MaskOptions | None = None,
    ):
        self._network, self.inputs = network, inputs
        self.images, self.masks = images or ImageOptions(), masks or MaskOptions()
        network.model.eval()
        self.device = next(network.model.parameters()).device
        self.view = inputs.view(self.device)

    @property
    def network(self) -> nn.Module:
        """The model, in evaluation mode: (B, C, H, W) -> logits (B, classes)."""
        return self._network.model

    @property
    def classes(self) -> tuple[str, ...]:
        return self.inputs.classes

    @property
    def layer(self) -> str | None:
        """Whose feature maps are the attention."""
        return self._network.layer

    def preprocess(self, image: Source) -> Tensor:
        """(1, C, H, W) float32, normalised as in training, on the network's device."""
        return self.view.pictures(self.read(image)[0].to(self.device))

    def read(
        self, image: Source, mask: Path | str | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor | None] | None]:
        """The image as the network sees it (1, C, H, W) uint8, and its mask, see
        `Inputs.read_mask`. UserError: a file that is no image, a mask of another size."""
        picture = opened(image, self.images)
        seen = self.inputs.read(picture)
        if mask is None:
            return seen, None
        return seen, self.inputs.read_mask(Path(mask), MaskReader(self.masks), picture.size)

    def explain(
        self,
        image: Source,
        maps: Sequence[str] = (),
        label: str | None = None,
        mask: Path | str | None = None,
    ) -> Explanation:
        """What the network says of an image, and where it looks.

        Args:
            maps: by their names in MAPS; empty: the one that was trained or measured.
            label: the class that is explained; None: the one that is predicted, or the number.
            mask: a file, read as the run's masks were.

        Raises:
            UserError: no such file, map or class; a map that this network has none of.
        """
        network, copies = self._network, self._network.copies
        seen, marked = self.read(image, mask)
        x = self.view.pictures(seen.to(self.device)).repeat(copies, 1, 1, 1)
        with at_rest(network), torch.enable_grad():
            output = network.plain(x) if network.layer is None else network(x)
            predictions = network.task.predicted(output.logits[:1].detach())[0].cpu()
            best = int(predictions.argmax())
            shown = best if label is None else self.classes.index(self._known(label))
            labels = torch.full((len(x),), shown, device=self.device)
            signed = network.task.signed
            attentions = {
                name: network.explain(output, x, labels, name, signed, second_order=False)
                for name in self.maps(maps)
            }
        attentions = {name: found.detach()[:1] for name, found in attentions.items()}
        scores = dict(zip(self.classes, predictions.tolist(), strict=True))
        other = "" if shown == best else self.classes[shown]
        said = (seen[0], attentions, self.classes[best], scores, *(marked or ()))
        return explanation(*said, explained=other, signed=signed)

    def maps(self, names: Sequence[str] = ()) -> list[str]:
        """These maps, or the network's own; UserError for those that it has none of."""
        for name in names:
            MAPS.check(name)
            if self.layer is None and not MAPS.of_pixels(name):
                own = ", ".join(n for n in MAPS.kinds if MAPS.of_pixels(n))
                raise UserError(f"{name} is made of feature maps and this network has none: {own}")
        return list(names) or [self._network.attention]

    def _known(self, label: str) -> str:
        return choose("class", label, self.classes)


def load_classifier(run: Path, device: torch.device) -> Classifier:
    """The best network of a run of rl-attn train; UserError if there is none yet."""
    args = replace(load_args(run, args_type), weights="none")  # the checkpoint has them
    file = latest_checkpoint(run)
    if file is None:
        raise UserError(f"{run} has no checkpoint yet: train it first")
    state = load_checkpoint(file, NetworkState, device, more=True)
    if "inputs" not in state:
        raise UserError(
            f"{file} is of an older version, which did not keep what images become: take that "
            "version, or train again"
        )
    with fitting(file):
        inputs = Inputs.from_dict(state["inputs"])
        network = make_network(args, method_of(args), inputs, device)
        network.model.load_state_dict(best_of(state)[0])
    return Classifier(network, inputs, *file_options(args))


def file_options(args: TrainSettings) -> tuple[ImageOptions, MaskOptions]:
    """How the run's image and mask files were meant, by --data-options."""
    given = read_options(args.data_options, "--data-options")
    limits = limits_of("image_range", given.get("image_range", ""))
    words = {key: given[key] for key in MaskWords.__annotations__ if key in given}
    alpha: Any = given.get("alpha", "ask")
    # Where a set has annotation files, what they call its regions is nothing of mask files.
    masks = MaskOptions() if given.get("format") else MaskOptions.of(**words)
    return ImageOptions(limits, alpha), masks
