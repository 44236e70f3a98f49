"""Words for Doom, as the offline teacher was taught them."""

from collections.abc import Iterable

from envs.gallery import MONSTERS
from rl_attn.teachers.prompts import Prompts

#: Names of objects that agents may be asked to look at, in words.
WORDS = MONSTERS | {"MarineChainsawVzd": "marine", "DoomImpBall": "fireball"}

#: Everything dangerous against everything that is not.
DOOM = Prompts(
    foreground=tuple(WORDS.values()),
    background=("wall", "floor", "empty room", "gray wall", "brown wall"),
    templates=("a {}",),
)


def doom_words(names: Iterable[str]) -> tuple[str, ...]:
    """ "DoomImp" -> "imp"; names that Doom does not know stay as they are, without underscores."""
    return tuple(WORDS.get(name, name.replace("_", " ").replace("-", " ")) for name in names)
