"""`--track`: what a run sends to TensorBoard goes to Weights & Biases as well.

    pip install 'rl-attn[track]'; wandb login     # or WANDB_MODE=offline, and `wandb sync` later

A resumed run goes on in the same run there: its id is kept in the run's folder.
"""

import importlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError, one_line
from rl_attn.run.files import write_text


def check_tracking() -> None:
    """UserError, before anything is made, without wandb or without the login that it wants."""
    wandb = _wandb()
    online = os.environ.get("WANDB_MODE", "online") == "online"
    if online and not wandb.login(prompt=False):
        raise UserError(
            "--track needs a login: run `wandb login`, or set WANDB_MODE=offline and sync later"
        )


@contextmanager
def tracked(path: Path, config: dict[str, Any]) -> Iterator[None]:
    """Within the block the run in `path` is mirrored; TensorBoard's writer is made inside it."""
    wandb, kept = _wandb(), path / "wandb.txt"
    if not kept.exists():
        write_text(kept, secrets.token_hex(4))
    try:
        run = wandb.init(
            project="rl-attn",
            name=path.name,
            id=kept.read_text(),
            resume="allow",
            dir=path.parent,  # not the run's folder: W&B copies all event files below that
            config=config,
            sync_tensorboard=True,
        )
    except wandb.Error as error:
        raise UserError(f"--track: {one_line(error)}; WANDB_MODE=offline needs no server") from None
    try:
        yield
    finally:
        run.finish()


def _wandb() -> Any:
    try:
        # By name: an optional package, which the type checker does not have to find.
        wandb = importlib.import_module("wandb")
    except ImportError:
        raise UserError("--track needs wandb: pip install 'rl-attn[track]'") from None
    return wandb
