"""A step of LeNet with Learning to Look's joint loss, its gradient written by hand.

What a step cannot leave out, in as few of torch's operations as they come to: no autograd, no logs,
no transforms, grey pictures with one channel, channels last, ReLU after pooling. It does what
`classifiers.Straightforward` does to the weights (a test compares them), so its time is the least
that a loop of this network takes with these operations. Each part's time, operations and bytes are
kept for `supervised_epoch.py --roofline`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
import torch.nn.functional as F
from classifiers import PlainLeNet
from torch import Tensor
from workload import Classifiers

from rl_attn.run.device import keep_freed_memory
from rl_attn.supervised.backbones import parameters_of
from rl_attn.supervised.data import load

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, LAMBDA, EPSILON = 0.01, 0.98, 1e-4, 8.0, 1e-8
ONES, ZEROS, TWO = [1, 1], [0, 0], [2, 2]
aten = torch.ops.aten


@dataclass
class Part:
    """A part of the step: what it does, and what that has cost so far."""

    name: str
    run: Callable[[], None]
    megaflop: float = 0.0  # multiplications and additions of a step, where they are what counts
    megabyte: float = 0.0  # floats that a step reads and writes, each once
    seconds: float = 0.0


class ByHand:
    """Contender; `parts` holds where its time went, `steps` over how many."""

    def __init__(self, args: Classifiers):
        torch.set_num_threads(args.threads)
        keep_freed_memory()
        self.model, self.size = PlainLeNet().requires_grad_(False), args.batch_size
        self.images, self.targets, self.labels = _grey_set()
        grey = self.model.conv1.weight.sum(1, keepdim=True)  # the three channels are the same
        second, fc = self.model.conv2, self.model.fc
        weights = [grey, self.model.conv1.bias, second.weight, second.bias, fc.weight, fc.bias]
        last = torch.channels_last
        self.weights = [
            w.contiguous(memory_format=last) if w.dim() == 4 else w.clone() for w in weights
        ]
        self.gradients: list[Tensor] = []
        self.momenta = [torch.zeros_like(w) for w in self.weights]
        self.parts, self.steps = self._parts(), 0
        self.note = "LeNet on cpu"

    def _parts(self) -> list[Part]:
        """Sizes are LeNet's at 32x32: 28x28x6, 14x14x6, 10x10x16, 5x5x16."""
        floats = self.size * 4e-6
        one, two = self.size * 28 * 28 * 6 * 25 * 2e-6, self.size * 10 * 10 * 16 * 150 * 2e-6
        x, a, h, f, r = (floats * n for n in (32 * 32, 28 * 28 * 6, 14 * 14 * 6, 1600, 400))
        return [
            Part("batch", self.batch, megabyte=2 * (x + floats * 100)),
            Part("first convolution", self.convolve_first, one, x + a),
            Part("first pooling, ReLU", self.pool_first, megabyte=a + 3 * h),
            Part("second convolution", self.convolve_second, two, h + f),
            Part("second pooling, ReLU", self.pool_second, megabyte=f + 3 * r),
            Part("classes and cross-entropy", self.classify),
            Part("map and its divergence", self.compare_map, megabyte=2 * f),
            Part("second pooling, backward", self.unpool_second, megabyte=3 * f + 3 * r),
            Part("second convolution, backward", self.back_second, 2 * two, 2 * f + 2 * h),
            Part("first pooling, backward", self.unpool_first, megabyte=a + 3 * h),
            Part("first convolution, backward", self.back_first, one, a + x),
            Part("optimiser", self.optimise),
        ]

    @torch.no_grad()
    def run(self, count: int) -> float:
        for _ in range(count):
            self.order = torch.randint(len(self.images), (self.size,))
            self.step()
        return float(parameters_of(self.model))

    def step(self) -> None:
        """The pictures of `order`."""
        for part in self.parts:
            began = perf_counter()
            part.run()
            part.seconds += perf_counter() - began
        self.steps += 1

    def close(self) -> None:
        pass

    # ------------------------------------------------------------------ forward

    def batch(self) -> None:
        self.x = self.images[self.order].permute(0, 3, 1, 2)
        self.target, self.y = self.targets[self.order], self.labels[self.order]

    def convolve_first(self) -> None:
        self.a = F.conv2d(self.x, *self.weights[:2])

    def pool_first(self) -> None:
        self.h, self.first_chosen = aten.max_pool2d_with_indices(self.a, TWO, TWO)
        self.h.relu_()

    def convolve_second(self) -> None:
        self.f = F.conv2d(self.h, *self.weights[2:4])

    def pool_second(self) -> None:
        self.r, self.second_chosen = aten.max_pool2d_with_indices(self.f, TWO, TWO)
        self.mean = self.r.relu_().mean((2, 3))

    def classify(self) -> None:
        weight, bias = self.weights[4:]
        to_logits = torch.addmm(bias, self.mean, weight.t()).softmax(1)
        to_logits[torch.arange(self.size), self.y] -= 1
        to_logits /= self.size
        self.to_weight, self.to_bias = to_logits.t() @ self.mean, to_logits.sum(0)
        self.to_mean = to_logits @ weight

    def compare_map(self) -> None:
        """Gradients of LAMBDA KL(mask || softmax of the map), the map divided by its range."""
        cells = self.f.permute(0, 2, 3, 1).view(self.size, 100, 16)  # channels last: as it lies
        row = self.weights[4][self.y]  # (B, 16)
        evidence = torch.bmm(cells, row[:, :, None])[:, :, 0].relu_()
        (low, lowest), (high, highest) = evidence.min(1, True), evidence.max(1, True)
        scale = 1 / (high - low + EPSILON)
        scaled = (evidence - low) * scale
        to_scaled = (scaled.softmax(1) - self.target) * (LAMBDA / self.size)
        to_evidence = to_scaled * scale
        through = (to_evidence * scaled).sum(1, True)  # to the range, both of its ends
        to_evidence.scatter_add_(1, lowest, through - to_evidence.sum(1, True))
        to_evidence.scatter_add_(1, highest, -through)
        to_evidence *= evidence > 0
        self.to_cells = to_evidence[:, :, None] * row[:, None]  # (B, 100, 16)
        to_row = torch.bmm(to_evidence[:, None], cells)[:, 0]
        self.to_weight.index_add_(0, self.y, to_row)

    # ------------------------------------------------------------------ backward

    def unpool_second(self) -> None:
        to_r = (self.to_mean / 25)[:, :, None, None] * (self.r > 0)
        self.to_f = _unpool(to_r, self.f, self.second_chosen)
        self.to_f.permute(0, 2, 3, 1).view(self.size, 100, 16).add_(self.to_cells)

    def back_second(self) -> None:
        self.to_h, *self.second = _back(self.to_f, self.h, self.weights[2], inputs=True)

    def unpool_first(self) -> None:
        self.to_a = _unpool(self.to_h * (self.h > 0), self.a, self.first_chosen)

    def back_first(self) -> None:
        _, grey, bias = _back(self.to_a, self.x, self.weights[0], inputs=False)
        first = [grey * 3, bias]  # each of the three channels moves by its gradient
        self.gradients = [*first, *self.second, self.to_weight, self.to_bias]

    def optimise(self) -> None:
        aten._fused_sgd_(
            self.weights,
            self.gradients,
            self.momenta,
            weight_decay=WEIGHT_DECAY,
            momentum=MOMENTUM,
            lr=LEARNING_RATE,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=self.steps == 0,
        )


def peak_rates(seconds: float = 0.5) -> tuple[float, float]:
    """GFLOP/s of a large matrix multiplication, and GB/s read and written by a copy."""
    a, b, large = torch.rand(1024, 1024), torch.rand(1024, 1024), torch.rand(16 * 2**20)
    other = torch.empty_like(large)
    product = _per_second(lambda: torch.mm(a, b), seconds) * 2 * 1024**3
    copy = _per_second(lambda: other.copy_(large), seconds) * 2 * 4 * len(large)
    return product / 1e9, copy / 1e9


def _per_second(work: Callable[[], object], seconds: float) -> float:
    work()
    began, count = perf_counter(), 0
    while (took := perf_counter() - began) < seconds or count == 0:
        work()
        count += 1
    return count / took


def _grey_set() -> tuple[Tensor, Tensor, Tensor]:
    """DecoyMNIST: pictures (N, 32, 32, 1) in [-1, 1], masks (N, 100) that sum to 1, labels (N,).

    Of one channel, (N, 1, 32, 32) passes for either layout. oneDNN goes by its strides, and takes
    four times as long for the first convolution's gradient where those are not channels last's.
    """
    split = load("decoy-mnist").splits["train"]
    grey = F.interpolate(split.images[:, :1].float() / 255, (32, 32), mode="bilinear")
    rows = (grey * 2 - 1).permute(0, 2, 3, 1)
    images = rows.clone(memory_format=torch.contiguous_format)
    assert split.masks is not None
    masks = F.interpolate((split.masks[:, None] > 0).float(), (10, 10), mode="nearest").flatten(1)
    return images, masks / masks.sum(1, keepdim=True), split.labels


def _unpool(gradient: Tensor, values: Tensor, chosen: Tensor) -> Tensor:
    backward = aten.max_pool2d_with_indices_backward
    return backward(gradient, values, TWO, TWO, ZEROS, ONES, False, chosen)


def _back(gradient: Tensor, x: Tensor, weight: Tensor, inputs: bool) -> tuple[Tensor, ...]:
    """Gradients of x (None without `inputs`), weight and bias."""
    sizes, asked = [len(weight)], [inputs, True, True]
    backward = aten.convolution_backward
    return backward(gradient, x, weight, sizes, ONES, ZEROS, ONES, False, ZEROS, 1, asked)
