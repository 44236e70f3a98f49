"""Formats of annotations: each file of this folder reads one, and registers it under its name.

A format of your own is one file with a function, see `base`, named by `--import`:

    @READERS.register("mine")
    def mine(place: Path) -> Iterator[Marks]: ...
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rl_attn.registry import Registry

if TYPE_CHECKING:
    from rl_attn.supervised.data.readers.base import Marks

#: From a file, or a folder with files of the format, to what they say of each image.
READERS: "Registry[Callable[[Path], Iterable[Marks]]]" = Registry("annotation format", __package__)
