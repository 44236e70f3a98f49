"""What `rl_attn.teachers.offline` trains, and on what."""

import dataclasses
import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from platformdirs import user_cache_path
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms.v2.functional import normalize, resize

from rl_attn.attention import differentiable_attention
from rl_attn.envs.doom.freedoom import MAPS
from rl_attn.errors import UserError
from rl_attn.run.checkpoint import check_moments, fitting, load_state, save_state
from rl_attn.run.device import keep_freed_memory, pick_device, pick_precision
from rl_attn.run.files import replacing, write_text
from rl_attn.run.folder import locked
from rl_attn.run.loop import Pieces, carry_out
from rl_attn.run.optimizers import eager
from rl_attn.run.progress import Progress
from rl_attn.run.signals import stop_requests
from rl_attn.teachers.captions import Scene, with_articles
from rl_attn.teachers.contrastive import augmented, captions_of, contrastive_loss
from rl_attn.teachers.doom_pictures import HELD_OUT, Pictures, render
from rl_attn.teachers.offline import OfflineTeacherSettings

#: Pictures are the mean of their patches, not a class token: then words fit the patches themselves,
#: and maps of them say where.
CONFIG = {
    "embed_dim": 96,
    "vision_cfg": {
        "image_size": 64,
        "patch_size": 8,
        "width": 96,
        "layers": 4,
        "head_width": 48,
        "pool_type": "avg",
    },
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 96, "heads": 2, "layers": 2},
}
_RECORD = "teacher.json"  # written last: a folder that has it is complete
_SETTINGS = "settings.json"  # of the training under way
_SAVE_EVERY = 50  # steps


def default_folder() -> Path:
    return user_cache_path("rl-attn") / "teachers" / "doom"


def is_complete(folder: Path) -> bool:
    return (folder / _RECORD).is_file()


class State(TypedDict):
    """What training.pt holds."""

    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    step: int
    seconds: float


class PicturesState(TypedDict):
    """What pictures.pt holds."""

    images: Tensor  # (N, 3, H, W) uint8
    scenes: list[tuple[list[str], str]]  # monsters and the walls' colour


class Training:
    """The model, its optimiser and its place in the run; a step depends on its number alone."""

    def __init__(self, args: OfflineTeacherSettings, device: torch.device):
        torch.manual_seed(args.seed)
        self.args, self.device = args, device
        self.fast_bf16 = pick_precision("auto", device) == "bf16"
        self.model = CLIP(**CONFIG).to(device)
        # Of 49,408 tokens some forty occur: fixed random vectors do, and save half of each step.
        self.model.token_embedding.requires_grad_(False)
        self.tokens = SimpleTokenizer(context_length=CONFIG["text_cfg"]["context_length"])
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = eager(torch.optim.AdamW)(
            trained, args.learning_rate, weight_decay=0.05, fused=True
        )
        self.step, self.seconds = 0, 0.0

    def train_step(self, pictures: Pictures) -> float:
        """One batch; returns its loss."""
        args, started = self.args, time.perf_counter()
        choice = np.random.default_rng([args.seed, self.step])
        chosen = choice.integers(len(pictures.scenes), size=args.batch_size)
        random = torch.Generator().manual_seed(int(choice.integers(2**31)))
        images, gray = augmented(
            pictures.images[chosen], CONFIG["vision_cfg"]["image_size"], random
        )
        texts, holds = captions_of([pictures.scenes[i] for i in chosen], gray, choice)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        with self.autocast(), differentiable_attention():  # quicker backwards on a CPU
            image = self.embed_images(images)
            text = self.model.encode_text(self.tokens(texts).to(self.device), normalize=True)
        scale = self.model.logit_scale.exp().clamp(max=100)
        loss = contrastive_loss(image, text, scale, holds.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self.seconds += time.perf_counter() - started
        return loss.item()

    def learning_rate(self) -> float:
        warm, done = max(self.args.steps // 10, 1), self.step + 1
        if done < warm:
            return self.args.learning_rate * done / warm
        part = (done - warm) / max(self.args.steps - warm, 1)
        return self.args.learning_rate * 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.fast_bf16)

    def embed_images(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> (B, D) of length 1."""
        ready = normalize(images, list(OPENAI_DATASET_MEAN), list(OPENAI_DATASET_STD))
        return self.model.encode_image(ready.to(self.device), normalize=True)

    @torch.no_grad()
    def accuracy(self, pictures: Pictures) -> float:
        """Share of pictures with one monster whose "a <monster>" is the nearest of all words."""
        single = [i for i, scene in enumerate(pictures.scenes) if len(scene.monsters) == 1]
        names = sorted({pictures.scenes[i].monsters[0] for i in single})
        prompts = self.tokens([with_articles(f"a {name}") for name in names]).to(self.device)
        texts = self.model.encode_text(prompts, normalize=True)
        truth = torch.tensor([names.index(pictures.scenes[i].monsters[0]) for i in single])
        size = [CONFIG["vision_cfg"]["image_size"]] * 2
        found = []
        for part in pictures.images[single].split(256):
            images = self.embed_images(resize(part, size, antialias=True) / 255)
            found.append((images @ texts.T).argmax(1).cpu())
        return (torch.cat(found) == truth).float().mean().item()

    def state_dict(self) -> State:
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return parts | {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        check_moments(self.optimizer)
        self.step, self.seconds = state["step"], state["seconds"]


def pictures_of(args: OfflineTeacherSettings, folder: Path) -> Pictures:
    """The training pictures, rendered once and kept until the training is over."""
    kept = folder / "pictures.pt"
    if kept.exists():
        state = load_state(kept, PicturesState)
        scenes = [Scene(tuple(monsters), colour) for monsters, colour in state["scenes"]]
        return Pictures(state["images"], scenes)
    maps = [level for level in MAPS if level not in HELD_OUT][: args.maps]
    pictures = render(tuple(maps), args.each, args.frames, args.seed, partial(print, flush=True))
    scenes = [(list(scene.monsters), scene.colour) for scene in pictures.scenes]
    save_state(kept, {"images": pictures.images, "scenes": scenes})
    return pictures


def steps(training: Training, pictures: Pictures) -> Pieces:
    """Step after step to the last one."""
    while training.step < training.args.steps:
        loss = training.train_step(pictures)
        yield training.step, {"loss": loss}


def finish(training: Training, folder: Path) -> float:
    """Write the model as open_clip reads it, and what it can do; the scaffolding goes."""
    held_out = render(HELD_OUT, 4, 0, training.args.seed + 1)
    accuracy = training.accuracy(held_out)
    with replacing(folder / HF_SAFE_WEIGHTS_NAME) as scratch:
        save_file(training.model.state_dict(), scratch)
    preprocess = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    write_text(
        folder / "open_clip_config.json",
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}, indent=2),
    )
    record = dataclasses.asdict(training.args) | {
        "zero_shot_accuracy": accuracy,
        "held_out_maps": HELD_OUT,
        "training_seconds": round(training.seconds, 1),
    }
    write_text(folder / _RECORD, json.dumps(record, indent=2))
    for scaffold in ("pictures.pt", "training.pt", _SETTINGS):
        (folder / scaffold).unlink(missing_ok=True)
    return accuracy


def claim(folder: Path, args: OfflineTeacherSettings) -> None:
    """Start a folder for a training of these settings, or go on with one; UserError if others."""
    free = ("config", "out", "device", "threads")
    wanted = {k: v for k, v in dataclasses.asdict(args).items() if k not in free}
    file = folder / _SETTINGS
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(wanted, indent=2))
        return
    found = json.loads(file.read_text(encoding="utf-8"))
    differ = [key for key in wanted if found.get(key) != wanted[key]]
    if differ:
        flag = differ[0].replace("_", "-")
        raise UserError(
            f"{folder} holds an unfinished training with --{flag} {found.get(differ[0])}: go on "
            "with that, delete the folder, or take another --out"
        )


def train(args: OfflineTeacherSettings) -> int:
    """Train the teacher, or go on with it; returns the exit status."""
    folder = Path(args.out) if args.out else default_folder()
    if is_complete(folder):
        print(f"{folder} is complete; delete it to train another")
        return 0
    claim(folder, args)
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    with locked(folder), stop_requests("after this step") as stop:
        pictures = pictures_of(args, folder)
        training, kept = Training(args, pick_device(args.device)), folder / "training.pt"
        if kept.exists():
            state = load_state(kept, State, training.device)
            with fitting(kept):
                training.load_state_dict(state)
        status = carry_out(
            steps(training, pictures),
            stop,
            Progress(training.step, args.steps, lambda values: f"loss {values['loss']:.3f}"),
            lambda: save_state(kept, training.state_dict()),
            interval=_SAVE_EVERY,
            again="the same command goes on from there",
        )
    if status != 0:
        return status
    print(f"{folder}: names {finish(training, folder):.0%} of the monsters on unseen maps")
    return 0
