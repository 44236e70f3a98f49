"""Videos of one episode: frame, mask and attention side by side; an episode beside its twins."""

from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import OutputContainer

from rl_attn.pictures import (
    attended,
    captioned,
    enlarged,
    grid,
    outlined,
    rgb_of,
    scale_of,
    side_by_side,
)
from rl_attn.rl.play import Moment

#: Looks in a row of a video of twins.
_COLUMNS = 5


class _MP4:
    """Pictures as an H.264 MP4 file, which appears when it is complete; a context manager."""

    def __init__(self, path: Path, fps: Fraction = Fraction(35, 4)):
        """`fps`: frames shown a second; an environment's own `fps` is real time."""
        self.path, self.fps = path, fps
        self._scratch = path.with_name(f".{path.name}")
        self._file: OutputContainer | None = None

    def _write(self, picture: np.ndarray) -> None:
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # H.264 wants even sides
        if self._file is None:
            self._file = av.open(str(self._scratch), "w", format="mp4")
            self._stream = self._file.add_stream("libx264", rate=self.fps)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt, self._stream.options = "yuv420p", {"crf": "20"}
        picture = np.ascontiguousarray(picture[:height, :width])
        self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._file is not None:
            self._file.mux(self._stream.encode())  # what the encoder still holds back
            self._file.close()
        if kind is None and self._scratch.exists():
            self._scratch.replace(self.path)
        else:
            self._scratch.unlink(missing_ok=True)


class VideoWriter(_MP4):
    """Watches the episode of the first seed in `play` and writes it."""

    def __init__(self, path: Path, fps: Fraction = Fraction(35, 4), names: tuple[str, ...] = ()):
        """names: of actions."""
        super().__init__(path, fps)
        self.names = names

    def __call__(self, moment: Moment) -> None:
        if 0 not in moment.episode:
            return
        lane = moment.episode.index(0)
        picture = side_by_side(
            moment.frames[lane],
            moment.masks[lane].cpu().numpy(),
            drawn(moment, lane),
            scale_of(moment.frames.shape[2], 320),
            bar=True,
        )
        panels = captioned(picture, ["frame", "mask of the targets", "attention"])
        said = [f"{name} {value}" for name, value in numbers(moment, self.names, lane).items()]
        self._write(captioned(panels, said))


class TwinVideo(_MP4):
    """Watches `play_twins`: each look's frame over its attention, the plain one first.

    Under each it says which look it is, V(s), and whether the likeliest action is another one.
    """

    def __init__(
        self,
        path: Path,
        names: list[str],
        fps: Fraction = Fraction(35, 4),
        actions: tuple[str, ...] = (),
    ):
        """names: of the looks beside the plain one; actions: their names."""
        super().__init__(path, fps)
        self.names, self.actions = ["plain", *names], actions

    def __call__(self, moment: Moment) -> None:
        modes, panels = moment.output.policy.mode(), []
        for lane, name in enumerate(self.names):
            rgb = rgb_of(moment.frames[lane])
            scale = scale_of(rgb.shape[1], 240)
            rgb, on = enlarged(rgb, scale), enlarged(moment.masks[lane].cpu().numpy() > 0, scale)
            said = numbers(moment, (), lane)
            other = "  other action" if bool((modes[lane] != modes[0]).any()) else ""
            value = f"V {said['V']}  IoU {said['IoU']}{other}"
            shown = np.vstack([outlined(rgb, on), attended(rgb, drawn(moment, lane), on)])
            panels.append(captioned(captioned(shown, [name]), [value]))
        step = min(_COLUMNS, len(self.names))
        while len(panels) % step:
            panels.append(np.zeros_like(panels[0]))
        rows = [np.hstack(panels[i : i + step]) for i in range(0, len(panels), step)]
        said = numbers(moment, self.actions)  # the plain game's, which all of them play
        shared = [f"{name} {said[name]}" for name in ("action", "reward", "return")]
        self._write(captioned(grid(rows), shared))


def numbers(moment: Moment, action_names: tuple[str, ...], lane: int = 0) -> dict[str, str]:
    """What a step's pictures are captioned with: action, reward, return, V and IoU."""
    assert moment.actions is not None and moment.rewards is not None and moment.returns is not None
    action = moment.actions[lane]
    number = int(action) if action.ndim == 0 and not action.is_floating_point() else -1
    named = 0 <= number < len(action_names)
    visible = bool(moment.measures["present"][lane])
    return {
        "action": action_names[number] if named else str(action.tolist()),
        "reward": f"{moment.rewards[lane]:g}",
        "return": f"{moment.returns[lane]:g}",
        "V": f"{float(moment.output.value[lane]):.2f}",
        "IoU": f"{float(moment.measures['iou'][lane]):.2f}" if visible else "no target",
    }


def drawn(moment: Moment, lane: int) -> np.ndarray:
    """The map (H, W) as pictures show it."""
    assert moment.drawn is not None
    return moment.drawn[lane].cpu().numpy()
