"""The sizes in which Doom draws: ViZDoom has a list of them."""

from __future__ import annotations

import vizdoom


def screen_resolution(resolution: tuple[int, int]) -> vizdoom.ScreenResolution:
    """ViZDoom's constant for (width, height); ValueError with the choices if it has none."""
    known = _resolutions()
    if tuple(resolution) not in known:
        choices = ", ".join(f"{width}x{height}" for width, height in sorted(known))
        shown = "x".join(str(side) for side in resolution)
        raise ValueError(f"Doom has no resolution {shown}: choose from {choices}")
    return known[tuple(resolution)]


def resolution_for(
    frame_size: tuple[int, int], least: tuple[int, int] = (160, 120)
) -> tuple[int, int]:
    """The smallest (width, height) that Doom has and that holds frames of (height, width).

    least: (width, height) that it holds as well, and whose proportions it has where Doom has such
    a size: others show another part of the game. ValueError if Doom has none so large.
    """
    height, width = (max(sides) for sides in zip(frame_size, least[::-1], strict=True))
    larger = [size for size in _resolutions() if size[0] >= width and size[1] >= height]
    if not larger:
        largest = max(_resolutions(), key=lambda size: size[0] * size[1])
        raise ValueError(
            f"Doom draws at most {largest[0]}x{largest[1]}, not frames of {width}x{height}: choose "
            "a smaller --frame-size"
        )
    return min(larger, key=lambda s: (s[0] * least[1] != s[1] * least[0], s[0] * s[1]))


def _resolutions() -> dict[tuple[int, int], vizdoom.ScreenResolution]:
    return {
        tuple(int(side) for side in name.removeprefix("RES_").split("X")): value
        for name, value in vizdoom.ScreenResolution.__members__.items()
    }
