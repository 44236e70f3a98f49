"""Outlives the program that plays and removes what its games leave behind.

    janitor.py FOLDER     with the read end of a pipe as standard input

Only the program that plays holds the pipe's other end, so reading returns when that program has
ended, however it ended. Then every game recorded under FOLDER (see `_launcher.py`) is killed, its
shared memory is unlinked, and FOLDER is removed. Games of other programs are never touched.

`kill_game` and `remove_shared_memory` are used by the playing program as well.
"""

import os
import select
import shutil
import signal
import subprocess
import sys

SHARED_MEMORY = "/dev/shm"
SHARED_MEMORY_NAMES = ("ViZDoomSM", "ViZDoomMQCtr", "ViZDoomMQDoom")


def read_record(folder):
    """(process id, instance id) of the game in that folder; None before it has started."""
    try:
        with open(os.path.join(folder, "process")) as record:
            pid, instance = record.read().split()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(pid), instance


def command_line(pid):
    """The arguments of a living process as one string; empty if there is none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        if os.path.isdir("/proc/self"):
            return ""
    ps = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True)
    return ps.stdout.decode(errors="replace")


def kill_game(pid, instance):
    """SIGKILL the game, unless its process id meanwhile belongs to something else."""
    if instance in command_line(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def remove_shared_memory(instance):
    """Unlink what the engine and its library share under that instance id."""
    for name in SHARED_MEMORY_NAMES:
        try:
            os.unlink(os.path.join(SHARED_MEMORY, name + instance))
        except FileNotFoundError:
            continue


def clean(folder):
    """Kill the games recorded under `folder`, remove their traces and the folder itself."""
    # Renamed first: a launcher that is still on its way then finds no place for its record and
    # gives up, so that no game can start behind our back.
    doomed = folder + ".ended"
    try:
        os.rename(folder, doomed)
    except FileNotFoundError:
        return
    for game in os.listdir(doomed):
        record = read_record(os.path.join(doomed, game))
        if record is not None:
            kill_game(*record)
            remove_shared_memory(record[1])
    shutil.rmtree(doomed, ignore_errors=True)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the only way to end it is to end its program
    program = os.getppid()
    # The second condition is for a copy of the program that still holds the pipe: a failed fork.
    while not select.select([sys.stdin], [], [], 1.0)[0] and os.getppid() == program:
        continue
    clean(sys.argv[1])


if __name__ == "__main__":
    main()
