"""Masks from words: vision-language models as teachers, through open_clip.

`folder` holds a CLIP as open_clip loads it; a name, such as "ViT-B-16" with weights "openai", is
downloaded.

>>> clip = load_clip(folder, "")
>>> isinstance(clip, Clip)
True
>>> method: Method = "naclip"  # or "clip-es", "cam"
>>> teacher = Teacher(clip, LEARNING_TO_LOOK["color-mnist"], method=method)
>>> taught = teacher(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 0]))
>>> taught.masks.shape, taught.confidence.shape
(torch.Size([2, 32, 32]), torch.Size([2]))
"""

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
