"""One thread a test process: the suite shares two cores with the games that it plays.

And a CLIP of random weights, small enough for tests, as a folder that open_clip loads.
"""

import atexit
import gc
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
os.environ.pop("UV_RUN_RECURSION_DEPTH", None)  # commands are said the same behind `uv run`
# Many tests start processes: they need not each compile the sources of what they import.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Where the parent ignores them (`pytest &` in a script, `nohup`), so would what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

sys.path.insert(0, str(Path(__file__).parent))  # tests import `processes`

gc.disable()  # half a million objects come into being while the tests are collected, and stay
atexit.register(gc.unfreeze)  # libraries look for what leaks when the process ends


def pytest_collection_finish() -> None:
    """What has been imported is never garbage: no later collection looks at it."""
    gc.freeze()
    gc.enable()


CLIP_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 8,
        "width": 32,
        "layers": 6,
        "head_width": 16,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def small_clip_folder(folder: Path) -> Path:
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = CLIP(**CLIP_CONFIG)
    with torch.no_grad():  # fresh weights hardly tell words or patches apart
        model.token_embedding.weight.mul_(40)
        for block in model.visual.transformer.resblocks:
            block.attn.in_proj_weight.mul_(3)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP_CONFIG}))
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    return small_clip_folder(tmp_path_factory.mktemp("clip"))
