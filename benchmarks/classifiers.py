"""Contenders that train LeNet with Learning to Look's joint loss; see `supervised_epoch.py`.

Same pictures, masks, network, batch size and optimiser; a chunk is a number of steps, and what it
returns, the size of the network, proves that it was the same network. Both learn from DecoyMNIST
over scikit-learn's digits, which stand for MNIST's: a step costs the same.
"""

from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from contest import Entry, Worker
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from workload import Classifiers

from rl_attn.run.cli import parse
from rl_attn.run.device import keep_freed_memory, pick_device
from rl_attn.supervised.backbones import parameters_of
from rl_attn.supervised.data import load
from rl_attn.supervised.run import build
from rl_attn.supervised.settings import args_type


class Ours:
    """`supervised.loop`: bytes on the device, masks made once, fused optimiser."""

    def __init__(self, args: Classifiers, ensemble: int = 1, pictures: int = 0):
        torch.set_num_threads(args.threads)
        keep_freed_memory()
        flags = ["--method", "learning-to-look", "--data", "decoy-mnist", "--attention-epochs", "0"]
        flags += ["--batch-size", str(args.batch_size), "--ensemble", str(ensemble)]
        flags += ["--device", args.device, "--train-pictures", str(pictures)]
        self.trainer = build(parse(args_type(flags), flags, ""), pick_device(args.device))
        self.note = f"{self.trainer.network.model.__class__.__name__} on {args.device}"

    def run(self, count: int) -> float:
        """`count` steps; an epoch that ends is followed by the next."""
        trainer, left = self.trainer, count
        while left:
            trainer.args.epochs = trainer.epoch + 2  # never the last
            take = min(left, trainer.steps - trainer.step)
            stop = _After(take)
            if trainer.run_epoch(stop):
                trainer.epoch, trainer.step = trainer.epoch + 1, 0
            left -= take
        if self.trainer.train.split.labels.is_cuda:
            torch.cuda.synchronize()
        return float(parameters_of(trainer.network.model) // trainer.network.copies)

    def close(self) -> None:
        pass


class FiveSeeds(Ours):
    """Five seeds as one batched model."""

    def __init__(self, args: Classifiers):
        super().__init__(args, ensemble=5)


class FiveRuns:
    """The same five, one after the other."""

    def __init__(self, args: Classifiers):
        self.runs = [Ours(args) for _ in range(5)]
        self.note = self.runs[0].note

    def run(self, count: int) -> float:
        for run in self.runs:
            size = run.run(count)
        return size

    def close(self) -> None:
        pass


class Straightforward:
    """The loop that one writes first: DataLoader, transforms a batch, a hook, `loss.item()`."""

    def __init__(self, args: Classifiers):
        from torchvision.transforms import v2  # ours does not need it, nor pays for its import

        torch.set_num_threads(args.threads)
        self.device = pick_device(args.device)
        split = load("decoy-mnist").splits["train"]
        images = split.images.expand(-1, 3, -1, -1).contiguous()  # RGB, as ImageFolder reads grey
        self.loader = DataLoader(
            TensorDataset(images, split.masks, split.labels), args.batch_size, shuffle=True
        )
        self.pictures = v2.Compose(
            [v2.Resize(32), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])]
        )
        self.masks = v2.Compose([v2.Resize(32), v2.ToDtype(torch.float32, scale=True)])
        self.model = PlainLeNet().to(self.device)
        self.model.conv2.register_forward_hook(self.keep)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.98, weight_decay=1e-4
        )
        self.batches, self.note = iter(()), f"LeNet on {args.device}"

    def keep(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.features = output

    def run(self, count: int) -> float:
        for _ in range(count):
            batch = next(self.batches, None)
            if batch is None:
                self.batches = iter(self.loader)
                batch = next(self.batches)
            self.step(*batch)
        return float(parameters_of(self.model))

    def step(self, images: Tensor, masks: Tensor, labels: Tensor) -> float:
        loss = self.loss(images, masks, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def loss(self, images: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
        x, labels = self.pictures(images).to(self.device), labels.to(self.device)
        mask = (self.masks(masks).to(self.device) * 8).clamp(max=1)
        mask = F.interpolate(mask[:, None], (10, 10), mode="nearest")[:, 0]
        logits = self.model(x)
        weight = self.model.fc.weight[labels]  # (B, 16)
        cam = F.relu((weight[:, :, None, None] * self.features).sum(1))  # (B, 10, 10)
        low, high = cam.amin(dim=(1, 2), keepdim=True), cam.amax(dim=(1, 2), keepdim=True)
        cam = (cam - low) / (high - low + 1e-8)
        target = mask / mask.sum(dim=(1, 2), keepdim=True)
        divergence = F.kl_div(
            F.log_softmax(cam.flatten(1), dim=1), target.flatten(1), reduction="batchmean"
        )
        return F.cross_entropy(logits, labels) + 8 * divergence

    def close(self) -> None:
        pass


class LightningLoop(Straightforward):
    """The same loss, optimiser and DataLoader, driven by Lightning's Trainer, logging nothing.

    Every chunk sets a Trainer up, which belongs to its use; long chunks make little of it.
    """

    def __init__(self, args: Classifiers):
        import lightning

        super().__init__(args)
        ours = self

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.model = ours.model

            def training_step(self, batch: list[Tensor]) -> Tensor:
                return ours.loss(*batch)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return ours.optimizer

        self.module, self.trainer = Module(), lightning.Trainer

    def run(self, count: int) -> float:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = self.trainer(
            max_steps=count,
            max_epochs=-1,
            accelerator=self.device.type,
            devices=1,
            enable_model_summary=False,
            **quiet,
        )
        trainer.fit(self.module, self.loader)
        return float(parameters_of(self.model))


class PlainLeNet(nn.Module):
    """Learning to Look's, in the usual order of layers."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class OnEachCore:
    """As many runs at once as there are threads, one thread each, which share a chunk's steps."""

    run_of: ClassVar[str] = "classifiers:Ours"

    def __init__(self, args: Classifiers):
        self.workers = [Worker(Entry("a run", self.run_of)) for _ in range(args.threads)]
        for worker in self.workers:
            worker.start(replace(args, threads=1))
        (self.note,) = {worker.answer()[0] for worker in self.workers}

    def run(self, count: int) -> float:
        for worker in self.workers:
            worker.ask(-(-count // len(self.workers)))
        (size,) = {worker.answer()[2] for worker in self.workers}
        return size

    def close(self) -> None:
        for worker in self.workers:
            worker.ask(None)
        for worker in self.workers:
            worker.process.join()


class StraightforwardOnEachCore(OnEachCore):
    """The same of the straightforward loop."""

    run_of = "classifiers:Straightforward"


class _After:
    """True from the n-th time it is asked."""

    def __init__(self, times: int):
        self.left = times

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left <= 0
