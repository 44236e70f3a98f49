"""Videos of one episode: frame, mask and attention side by side; an episode beside its twins."""

from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import OutputContainer

from rl_attn.pictures import captioned, enlarged, grid, heat, side_by_side
from rl_attn.rl.play import Moment


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
    """Watches the episode of seed number `index` in `play` and writes it."""

    def __init__(self, path: Path, index: int = 0, fps: Fraction = Fraction(35, 4), scale: int = 3):
        super().__init__(path, fps)
        self.index, self.scale = index, scale

    def __call__(self, moment: Moment) -> None:
        if self.index not in moment.episode:
            return
        lane = moment.episode.index(self.index)
        picture = side_by_side(
            moment.frames[lane],
            moment.masks[lane].cpu().numpy(),
            moment.attention[lane].cpu().numpy(),
            self.scale,
        )
        value = f"attention   V(s) = {float(moment.output.value[lane]):.2f}"
        self._write(captioned(picture, ["frame", "mask of the targets", value]))


class TwinVideo(_MP4):
    """Watches `play_twins`: each look's frame over its attention, the plain one first.

    Under each it says which look it is, V(s), and whether the likeliest action is another one.
    """

    def __init__(
        self, path: Path, names: list[str], fps: Fraction = Fraction(35, 4), columns: int = 5
    ):
        """names: of the looks beside the plain one."""
        super().__init__(path, fps)
        self.names, self.columns = ["plain", *names], columns

    def __call__(self, moment: Moment) -> None:
        modes = moment.output.policy.mode()
        panels = []
        for lane, name in enumerate(self.names):
            frame, attention = moment.frames[lane], moment.attention[lane].cpu().numpy()
            rgb = np.broadcast_to(frame, (*frame.shape[:2], 3))
            scale = max(1, round(240 / rgb.shape[1]))
            rgb = enlarged(rgb, scale)
            other = "  other action" if bool((modes[lane] != modes[0]).any()) else ""
            value = f"V = {float(moment.output.value[lane]):.2f}{other}"
            shown = np.vstack([rgb, heat(rgb, attention)])
            panels.append(captioned(captioned(shown, [name]), [value]))
        while len(panels) % min(self.columns, len(self.names)):
            panels.append(np.zeros_like(panels[0]))
        step = min(self.columns, len(self.names))
        rows = [np.hstack(panels[i : i + step]) for i in range(0, len(panels), step)]
        self._write(grid(rows))
