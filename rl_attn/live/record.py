"""A moving picture of the demo's agents: plain PPO, CAMAL, and CAMAL's twin between other walls.

The twin is the same game, tic for tic, with the same actions (see `rl_attn.rl.twins`).
"""

import contextlib
import math
from itertools import islice
from pathlib import Path

from PIL import Image

from rl_attn.live.sharp import Sharp
from rl_attn.live.show import Seen, seen
from rl_attn.live.window import picture
from rl_attn.rl.play import Moment, Player, moments
from rl_attn.rl.twins import Twin, play_beside
from rl_attn.run.files import replacing

_SEED = 7
#: Textures of Freedoom on walls, floor and ceiling: the noise among the looks compresses badly.
_WALLS = {"surfaces": 404}
_WIDTH = 800


def record(players: dict[str, Player], file: Path, seconds: float) -> int:
    """Write the picture, .webp or .gif; returns the exit status."""
    (name, plain), (other, aligned) = players.items()
    fps = float(plain.environment.fps)
    count = math.ceil(seconds * fps)
    columns = zip(alone(name, plain, count), *beside_twin(other, aligned, count), strict=False)
    frames = [_fitted(Image.fromarray(picture(list(seats)))) for seats in columns]
    with replacing(file) as scratch:
        frames[0].save(
            scratch,
            file.suffix[1:].upper(),
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 / fps),
            loop=0,
            quality=50,
        )
    print(f"{file}: {len(frames)} frames, {file.stat().st_size / 1e6:.2f} MB")
    return 0


def _fitted(image: Image.Image) -> Image.Image:
    """As wide as a page shows it."""
    return image.resize((_WIDTH, round(image.height * _WIDTH / image.width)))


def alone(name: str, player: Player, count: int) -> list[Seen]:
    """The first steps of one game."""
    names, how = player.environment.action_names, {"reseed": True, "variation": {}}
    with Sharp(player.settings) as lanes:
        steps = moments(player.agent, lanes, [_SEED], **how, **player.shown)
        return [seen(name, moment, names, lanes) for moment in islice(steps, count)]


class _Enough(Exception):
    """Ends play."""


def beside_twin(name: str, player: Player, count: int) -> tuple[list[Seen], list[Seen]]:
    """The first steps of one game, and of its twin between other walls."""
    names, found = player.environment.action_names, ([], [])

    def look(moment: Moment) -> None:
        for lane, title in enumerate((name, f"{name}, the same game between other walls")):
            found[lane].append(seen(title, moment, names, lanes, lane))
        if len(found[0]) >= count:
            raise _Enough

    with Sharp(player.settings, 2) as lanes, contextlib.suppress(_Enough):
        twins = [Twin(_SEED, "surfaces", "")]
        play_beside(player.agent, lanes, twins, [_WALLS], look=look, **player.shown)
    return found
