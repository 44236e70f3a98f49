"""Words for Doom, as the offline teacher was taught them."""

from collections.abc import Iterable

from rl_attn.teachers.prompts import Prompts

#: Names of objects that agents may be asked to look at, in words.
WORDS = {
    "Zombieman": "zombie",
    "ShotgunGuy": "shotgun guy",
    "ChaingunGuy": "chaingunner",
    "DoomImp": "imp",
    "Demon": "demon",
    "Cacodemon": "cacodemon",
    "LostSoul": "lost soul",
    "HellKnight": "hell knight",
    "BaronOfHell": "baron of hell",
    "Revenant": "revenant",
    "Fatso": "mancubus",
    "Arachnotron": "arachnotron",
    "PainElemental": "pain elemental",
    "Archvile": "archvile",
    "MarineChainsawVzd": "marine",
    "DoomImpBall": "fireball",
}

#: Everything dangerous against everything that is not.
DOOM = Prompts(
    foreground=tuple(WORDS.values()),
    background=("wall", "floor", "empty room", "gray wall", "brown wall"),
    templates=("a {}",),
)


def doom_words(names: Iterable[str]) -> tuple[str, ...]:
    """ "DoomImp" -> "imp"; names that Doom does not know stay as they are, without underscores."""
    return tuple(WORDS.get(name, name.replace("_", " ").replace("-", " ")) for name in names)
