"""A video of one episode: frame, mask and attention side by side."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rl_attn.pictures import captioned, side_by_side
from rl_attn.rl.play import Moment


class VideoWriter:
    """Watches the episode of seed number `index` in `play` and writes it as an H.264 MP4 file.

    The file appears when the episode is complete; use as a context manager.
    """

    def __init__(self, path: Path, index: int = 0, fps: Fraction = Fraction(35, 4), scale: int = 3):
        """`fps`: frames shown a second; an environment's own `fps` is real time."""
        self.path, self.index, self.fps, self.scale = path, index, fps, scale
        self._scratch = path.with_name(f".{path.name}")
        self._file: av.container.OutputContainer | None = None

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

    def _write(self, picture: np.ndarray) -> None:
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # H.264 wants even sides
        if self._file is None:
            self._file = av.open(str(self._scratch), "w", format="mp4")
            self._stream = self._file.add_stream("libx264", rate=self.fps)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt, self._stream.options = "yuv420p", {"crf": "20"}
        picture = np.ascontiguousarray(picture[:height, :width])
        self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._file is not None:
            self._file.mux(self._stream.encode())  # what the encoder still holds back
            self._file.close()
        if kind is None and self._scratch.exists():
            self._scratch.replace(self.path)
        else:
            self._scratch.unlink(missing_ok=True)
