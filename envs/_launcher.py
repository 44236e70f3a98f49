"""Started in place of the engine: becomes the engine, in surroundings that leave no traces.

    launcher.py ENGINE ARGUMENT...

Runs with the folder of one game (where `-config` points) as its working directory, because the
engine writes files there. It leaves the terminal's session, so that Ctrl-C reaches only the
program that plays; asks the kernel to be killed with that program; notes its process and instance
id for whoever has to clean up; and turns into the engine, which keeps the process id.

Plain standard library and quick to start: one of these runs for every game.
"""

import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SIGKILL = 9


def _die_with_parent():
    """Ask Linux for SIGKILL at the parent's death; elsewhere the janitor alone sees to that."""
    if sys.platform != "linux":
        return
    try:
        import ctypes
    except ImportError:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def _record(folder, instance):
    """Note who we are; in one move, so that nobody reads half of it."""
    draft = os.path.join(folder, "process.draft")
    with open(draft, "w") as record:
        record.write(f"{os.getpid()} {instance}\n")
    os.rename(draft, os.path.join(folder, "process"))


def _give_up(instance):
    """A folder that is gone means that the program that plays is gone, and so is its janitor."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from _janitor import remove_shared_memory

    remove_shared_memory(instance)
    sys.exit(1)


def main():
    engine, arguments = sys.argv[1], sys.argv[2:]
    folder = os.path.dirname(arguments[arguments.index("-config") + 1])
    instance = arguments[arguments.index("+viz_instance_id") + 1]
    os.setsid()
    _die_with_parent()
    try:
        _record(folder, instance)
    except FileNotFoundError:
        _give_up(instance)
    os.chdir(folder)
    os.execv(engine, [engine, *arguments])


if __name__ == "__main__":
    main()
