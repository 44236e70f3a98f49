"""Lanes that are stepped together, and the threads that do it: what `lanes.Lanes` is made of.

Each thread looks after every n-th lane of its group. The caller hands it work with `start`, and
waits in `join`, where games that do not answer in time are killed and threads that do not notice
are replaced.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from rl_attn.envs.doom.lane import Abandoned, Lane, Outcome

CLOSE_TIMEOUT = 10.0  # seconds that close waits for the threads
CLOSE_GRACE = 1.0  # of these, how long games may take to end the step that they are in
LOOK = 0.1  # seconds between looks at games that keep the caller waiting
KILL_GRACE = 10.0  # seconds that a thread gets to notice that its game was killed


class Group:
    """Some of the lanes, and their threads, which are not started yet."""

    def __init__(self, lanes: list[Lane], num_threads: int) -> None:
        self.lanes = lanes
        self.num_threads = num_threads
        self.queues = [SimpleQueue() for _ in range(num_threads)]
        self.threads = [self._thread(number) for number in range(num_threads)]
        self.busy = False
        self.outcomes: list[Outcome | None] = [None] * len(lanes)
        self.errors: list[BaseException] = []
        self._play: Callable[[int, Lane], Outcome | None] | None = None
        self._running = 0  # threads at work; falls to 0 and releases `_done` in one
        self._lock = threading.Lock()
        self._done = threading.Lock()
        # Per lane: how long the caller has watched the engine work on the same call.
        self._watched = [(0, 0.0)] * len(lanes)

    def start(self, play: Callable[[int, Lane], Outcome | None]) -> None:
        """Have `play(index in the group, lane)` done for every lane, in the threads."""
        with self._lock:
            self._done.acquire(blocking=False)
            self._running = self.num_threads
        self.errors = []
        self.busy = True
        self._play = play
        for queue in self.queues:
            queue.put(True)

    def _thread(self, number: int, lost: int | None = None) -> threading.Thread:
        return threading.Thread(target=self.work, args=(number, lost), name="lanes", daemon=True)

    def work(self, number: int, lost: int | None = None) -> None:
        """The life of one thread: every num_threads-th lane is its own.

        lost: index of the lane at which the thread before it was left waiting, if there was one.
        """
        try:
            while lost is not None or self.queues[number].get():
                self._round(number, lost)
                lost = None
        except Abandoned:
            return
        for lane in self.lanes[number :: self.num_threads]:
            lane.game.close()

    def _round(self, number: int, lost: int | None) -> None:
        try:
            first = number if lost is None else lost
            for index in range(first, len(self.lanes), self.num_threads):
                lane = self.lanes[index]
                outcome = lane.take_over() if index == lost else self._play(index, lane)
                self.outcomes[index] = outcome
                lane.otherwise = None  # it holds the caller's arrays
        except Exception as error:  # handed to the caller in `join`
            self.errors.append(error)
        with self._lock:
            self._running -= 1
            if self._running == 0:
                self._play = None  # it holds the caller's arrays
                self._done.release()

    def join(self, hang_timeout: float) -> None:
        """Wait until all lanes are done; kill games that do not answer in time.

        After an interrupt (KeyboardInterrupt) it may be called again.
        """
        interval = min(LOOK, hang_timeout / 5)
        while self._running > 0:
            if not self._done.acquire(timeout=interval):
                self._kill_hung(interval, hang_timeout)
        self.busy = False
        if self.errors:
            raise self.errors[0]

    def _kill_hung(self, interval: float, hang_timeout: float) -> None:
        """Count what the caller has waited, not clock time, which runs on while it is suspended.

        A game that is stopped is not waited for, but for the moment in which one that was suspended
        with this program is continued with it.
        """
        for index, lane in enumerate(self.lanes):
            call, seconds = self._watched[index]
            waits = call == lane.calls and lane.busy and not lane.game.launching
            seconds = seconds + interval if waits else 0.0
            self._watched[index] = (lane.calls, seconds)
            if seconds >= hang_timeout or (seconds >= 2 * interval and lane.game.stopped):
                lane.game.kill()
            if seconds >= hang_timeout + KILL_GRACE:  # see `Game.abandon`
                number = index % self.num_threads
                self.threads[number] = self._thread(number, lost=index)
                self.threads[number].start()
                self._watched[index] = (0, 0.0)


def threads_of(groups: list[Group]) -> list[threading.Thread]:
    return [thread for group in groups for thread in group.threads]


def close(groups: list[Group], owner: int) -> None:
    """End the threads, which end their games; games that keep a thread waiting are killed.

    Not at once: a thread whose engine is killed amid its answer can wait for ever.
    One that is being started is waited for, and given up at the end: see `rl_attn.envs.doom.game`.
    """
    if os.getpid() != owner:
        return  # a forked child: threads and games are the parent's
    lanes = [lane for group in groups for lane in group.lanes]
    threads = threads_of(groups)
    for lane in lanes:
        lane.closing = True
    for group in groups:
        for queue in group.queues:
            queue.put(False)
    patience, deadline = (time.monotonic() + limit for limit in (CLOSE_GRACE, CLOSE_TIMEOUT))
    while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
        if time.monotonic() >= patience:
            for lane in lanes:
                lane.game.kill()
        for thread in threads:
            thread.join(timeout=0.05)
    for lane in lanes:
        lane.game.give_up_launch()
    for thread in threads:
        thread.join(timeout=1.0)
