"""The loop that all long work shares: piece by piece, with checkpoints, until it is asked to stop.

    with stop_requests() as stop:
        pieces = ((step, learn(step)) for step in range(1, 101))
        status = carry_out(pieces, stop, Progress(0, 100), save, interval=10, again="run again")

How it ends is its status: 0 at the end of the pieces, 128 + n after signal n, `NOT_FINITE` after a
TrainingError, 1 on a full disk. What was saved stays in all of them, and `again` says how to go on.
"""

import errno
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

from rl_attn.errors import NOT_FINITE, TrainingError
from rl_attn.run.files import full_disk
from rl_attn.run.progress import Progress
from rl_attn.run.signals import StopRequest, silence, tell

_NOBODY_READS = (errno.EPIPE, errno.EIO)  # a closed pipe, a terminal that hung up

Pieces = Iterator[tuple[int, Mapping[str, float] | None]]


def carry_out(
    pieces: Pieces,
    stop: StopRequest,
    progress: Progress,
    save: Callable[[], None],
    *,
    interval: float,
    again: str,
    clock: Callable[[int], float] = float,
    log: AbstractContextManager | None = None,
    agree: Callable[[bool], bool] = bool,
    first: bool = True,
) -> int:
    """Do the work; returns the exit status.

    Args:
        pieces: each is done when it is asked for; gives the steps so far, and what progress shows
            (None: nothing).
        save: makes a checkpoint; called every `interval` of `clock(step)`, at the end, at a stop.
        again: what the user does to go on.
        log: open while there is work.
        agree: whether any process of the run is asked to stop.
        first: whether this process speaks for the run.
    """
    step = progress.start
    try:
        with log or nullcontext(), progress:
            saved, stopping = clock(step), agree(bool(stop))
            while not stopping and (piece := next(pieces, None)) is not None:
                step, shown = piece
                try:
                    if shown is not None:
                        progress.update(step, shown)
                except OSError as error:
                    if error.errno not in _NOBODY_READS:
                        raise
                    silence()
                    stop.ask(signal.SIGPIPE)
                stopping = agree(bool(stop))
                if stopping or step >= progress.total or clock(step) - saved >= interval:
                    save()
                    saved = clock(step)
    except TrainingError as error:
        if first:
            print(f"error: {error}", file=sys.stderr)
        return NOT_FINITE
    except OSError as error:
        if (line := full_disk(error)) is None:
            raise
        tell(f"error: {line}, then {again}")
        return 1
    if stopping and step < progress.total:
        print(f"stopped at step {step:,}; {again}", flush=True)
        return 128 + (stop.signal or signal.SIGTERM)
    return 0
