"""The pictures that a set needs, from the user's cache where they are and rendered where not.

Each pair of a map and a monster has a file of its own, named by everything its pictures depend on,
so that sets which share pairs share pictures. Maps are rendered side by side in threads (the engine
is another process, and gives the interpreter's lock back while it works). Files appear whole or
not at all; after Ctrl-C or an error no game is left, and what was finished is kept.

The cache is the user's (`platformdirs`), or the folder that RL_ATTN_CACHE names.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import Progress

from rl_attn.envs.doom.freedoom import MONSTERS
from rl_attn.envs.doom.game import GameFault
from rl_attn.envs.doom.studio import NoRoom, Studio
from rl_attn.errors import UserError
from rl_attn.supervised.data.monsters.photographs import Photographs, photograph, studio_of

#: Changes when the same options no longer give the same pictures.
VERSION = 1
HANG_TIMEOUT = 120.0  # seconds without a single attempt
LAUNCHES = 3  # of a map's game, before its faults are passed on

Pair = tuple[str, str | None]  # map and monster; None: the map without one


def cache_folder() -> Path:
    """Where rendered pictures are kept."""
    named = os.environ.get("RL_ATTN_CACHE")
    return Path(named) if named else user_cache_path("rl-attn", appauthor=False)


def gather(needed: Mapping[Pair, int], size: int, seed: int) -> dict[Pair, Photographs]:
    """At least that many pictures of each pair, size x size.

    UserError: a pair that cannot be photographed, a cache that cannot be written.
    """
    folder = cache_folder() / f"monsters-{VERSION}" / f"{size}px-seed{seed}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the cache {folder} cannot be made ({error.strerror}): set RL_ATTN_CACHE to a folder "
            "that can be written"
        ) from None
    found = {pair: _read(folder, pair, count) for pair, count in needed.items()}
    missing = {pair: needed[pair] for pair, photographs in found.items() if photographs is None}
    if missing:
        found |= _Rendering(missing, size, seed, folder).run()
    return found


class _Rendering:
    """Renders what is missing, map by map."""

    def __init__(self, missing: Mapping[Pair, int], size: int, seed: int, folder: Path) -> None:
        self.missing, self.size, self.seed, self.folder = missing, size, seed, folder
        self.studios: dict[Studio, tuple[int, float]] = {}  # attempts seen, and when
        self.stopping = False
        self.done: dict[Pair, Photographs] = {}

    def run(self) -> dict[Pair, Photographs]:
        maps = sorted({map_name for map_name, _ in self.missing})
        total, started = sum(self.missing.values()), time.monotonic()
        console = Console(stderr=True)
        pool = ThreadPoolExecutor(min(len(maps), os.cpu_count() or 1), "monsters")
        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task(f"rendering {total:,} pictures of monsters", total=total)
            jobs = {pool.submit(self._map, map_name) for map_name in maps}
            try:
                while jobs:
                    finished, jobs = wait(jobs, 0.5, FIRST_COMPLETED)
                    self._check(finished)
                    progress.update(bar, completed=sum(len(d.images) for d in self.done.values()))
            finally:
                self.stopping = True
                for game in list(self.studios):
                    game.kill()
                pool.shutdown(cancel_futures=True)
        print(
            f"rendered {total:,} pictures of monsters in {time.monotonic() - started:.0f} s, kept "
            f"in {self.folder}",
            file=sys.stderr,
        )
        return self.done

    def _check(self, finished: set[Future[None]]) -> None:
        """Pass errors on, and kill games that hang: their jobs then start new ones."""
        for job in finished:
            try:
                job.result()
            except NoRoom as error:
                raise UserError(f"{error}: leave out that map or monster") from None
            except GameFault as error:
                raise UserError(f"Doom keeps failing: {error}") from None
        now = time.monotonic()
        for game, (attempts, since) in list(self.studios.items()):
            if game.attempts != attempts:
                self.studios[game] = game.attempts, now
            elif now - since > HANG_TIMEOUT:
                game.kill()

    def _map(self, map_name: str) -> None:
        """One map's pictures, in a thread."""
        pairs = [pair for pair in self.missing if pair[0] == map_name]
        for launch in range(1, LAUNCHES + 1):
            game = studio_of(map_name, self.size)
            self.studios[game] = 0, time.monotonic()
            try:
                for pair in pairs:
                    if pair not in self.done and not self.stopping:
                        photographs = self._pair(game, pair)
                        _write(self.folder, pair, photographs)
                        self.done[pair] = photographs
                return
            except GameFault:
                if self.stopping or launch == LAUNCHES:
                    raise
            finally:
                del self.studios[game]
                game.close()

    def _pair(self, game: Studio, pair: Pair) -> Photographs:
        map_name, monster = pair
        number = 0 if monster is None else 1 + list(MONSTERS).index(monster)
        seed = np.random.SeedSequence([self.seed, int(map_name.removeprefix("MAP")), number])
        return photograph(game, monster, self.missing[pair], self.size, seed)


def _file(folder: Path, pair: Pair) -> Path:
    return folder / f"{pair[0]}-{pair[1] or 'empty'}.npz"


def _read(folder: Path, pair: Pair, count: int) -> Photographs | None:
    """Pictures from the cache; None if there are too few, or the file is no good."""
    try:
        with np.load(_file(folder, pair)) as arrays:
            names = ("images", "masks", "foregrounds")
            photographs = Photographs(*(torch.from_numpy(arrays[name]) for name in names))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return photographs if len(photographs.images) >= count else None


def _write(folder: Path, pair: Pair, photographs: Photographs) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as scratch:
        try:
            images, masks, foregrounds = (part.numpy() for part in astuple(photographs))
            np.savez(scratch, images=images, masks=masks, foregrounds=foregrounds)
        except BaseException:
            Path(scratch.name).unlink()
            raise
    os.replace(scratch.name, _file(folder, pair))
