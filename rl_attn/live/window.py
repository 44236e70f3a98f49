"""A show in a window of OpenCV's, where there are windows.

The package's own OpenCV is `opencv-python-headless`, which has none, so that slim machines can have
it: a full one (`pip install opencv-python`) in its place, and a display, make windows possible.
"""

import os
import re

import cv2
import numpy as np

from rl_attn.errors import UserError
from rl_attn.live.show import KEYS, Seen, Show
from rl_attn.pictures import strip

_TITLE = "rl-attn"
_ENDS = {"q", "\x1b"}  # Escape


def why_no_window() -> str | None:
    """Why there can be no window, in one line; None where there can."""
    backend = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if backend is None or backend[1] == "NONE":
        return (
            "the OpenCV that is installed has no windows: pip uninstall opencv-python-headless, "
            "then pip install opencv-python"
        )
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (DISPLAY is not set)"
    return None


def show_in_window(show: Show) -> int:
    """Play until q, Escape, or the window is closed; returns the exit status."""
    if (reason := why_no_window()) is not None:
        raise UserError(f"no window: {reason}; or leave --window out, for a page in the browser")
    while True:
        if show.due:
            cv2.imshow(_TITLE, picture(show.step(), show.looks[show.look][0])[..., ::-1])
        key = chr(cv2.waitKey(max(1, round(1000 / show.fps))) & 0xFF)
        if key in _ENDS or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            cv2.destroyAllWindows()
            return 0
        if key in KEYS:
            show.do(key)


def picture(seats: list[Seen], look: str = "") -> np.ndarray:
    """All seats beside each other, each its frame over its map: RGB uint8."""
    panels = []
    for seat in seats:
        width = seat.frame.shape[1]
        words = "  ".join(f"{name} {value}" for name, value in seat.numbers.items())
        name = f"{seat.name}, {look}" if look else seat.name
        panels.append(
            np.vstack([strip(width, [name]), seat.frame, seat.map, strip(width, [words], 20)])
        )
    gap = np.full((len(panels[0]), 4, 3), 20, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])
