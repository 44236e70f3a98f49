"""Which vision-language model is asked for masks: `--teacher.model` of RL's prior, and
`--mask-teacher.model` of supervised training with `--masks teacher`.

It imports no model, so that a command line is read in a moment.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass
class TeacherSettings:
    """Which vision-language model makes masks, and what it is asked for."""

    method: Literal["clip-es", "naclip", "cam"] = "clip-es"
    """how masks are read off the model: Grad-CAM with attention affinity; dense and without
    gradient; plain Grad-CAM"""
    model: str = "doom"
    """a model of open_clip (ViT-B-16), a folder that it can load, or doom: the one that
    python -m rl_attn.teachers.offline trains"""
    weights: str = "openai"
    """a tag of open_clip, or a file"""
    words: tuple[str, ...] = ()
    """what to ask for (default: the names of the targets or classes)"""
