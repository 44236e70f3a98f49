"""Masks from words: vision-language models as teachers, through open_clip."""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of

if TYPE_CHECKING:
    from rl_attn.teachers.clip import Clip, load_clip
    from rl_attn.teachers.prompts import LEARNING_TO_LOOK, Prompts
    from rl_attn.teachers.teacher import Method, Taught, Teacher

__all__ = [
    "LEARNING_TO_LOOK",
    "Clip",
    "Method",
    "Prompts",
    "Taught",
    "Teacher",
    "load_clip",
]

__getattr__ = names_of(__name__, __file__)
