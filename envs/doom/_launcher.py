"""Started in place of the engine: starts the engine, in surroundings that leave no traces.

    launcher.py ENGINE ARGUMENT...

The engine runs with the folder of one game (where `-config` points) as its working directory,
because it writes files there. It is outside the terminal's session, so that Ctrl-C reaches only
the program that plays; the kernel is asked to kill it with that program; and its process and
instance id are noted for whoever has to clean up.

This process is the one that ViZDoom waits for, and stays as long as the engine. It must not end
before `DoomGame.init` has returned: ViZDoom 1.3.2 answers the end of an engine that has not
reported yet with a segmentation fault of the whole program (`DoomController::close` reads the
engine's shared memory, which it has not opened). So a launch that fails is written to the file
`failed`, and this process waits for the file `started`, for the folder's removal, or for its kill.

Plain standard library and quick to start: one of these runs for every game.
"""

import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _die_with_parent():
    """Ask Linux for SIGKILL at the parent's death; elsewhere the janitor alone sees to that."""
    if sys.platform != "linux":
        return
    try:
        import ctypes
    except ImportError:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _write(folder, name, text):
    """In one move, so that nobody reads half of it."""
    draft = os.path.join(folder, name + ".draft")
    with open(draft, "w") as file:
        file.write(text + "\n")
    os.rename(draft, os.path.join(folder, name))


def _run(engine, arguments, folder, instance):
    """The child's life: note who we are and become the engine."""
    _die_with_parent()
    try:
        _write(folder, "process", f"{os.getpid()} {instance}")
        os.chdir(folder)
        os.execv(engine, [engine, *arguments])
    except OSError as error:
        if os.path.isdir(folder):
            _write(folder, "failed", f"{engine} cannot be run: {error.strerror}")
        else:
            _give_up(instance)
    os._exit(1)


def _give_up(instance):
    """A folder that is gone means that the program that plays is gone, and so is its janitor."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from _janitor import remove_shared_memory

    remove_shared_memory(instance)


def _keep(child, folder):
    """Wait for the engine's end, and if it came too early for what is named above."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    started, failed = os.path.join(folder, "started"), os.path.join(folder, "failed")
    while os.path.isdir(folder) and not os.path.exists(started):
        if not os.path.exists(failed):
            code = os.waitstatus_to_exitcode(status)
            end = f"status {code}" if code >= 0 else f"signal {-code}"
            try:
                _write(folder, "failed", f"the engine ended with {end} before it had started")
            except FileNotFoundError:  # the folder has just been removed
                break
        time.sleep(0.02)


def main():
    engine, arguments = sys.argv[1], sys.argv[2:]
    folder = os.path.dirname(arguments[arguments.index("-config") + 1])
    instance = arguments[arguments.index("+viz_instance_id") + 1]
    os.setsid()
    _die_with_parent()
    child = os.fork()
    if child == 0:
        _run(engine, arguments, folder, instance)
    _keep(child, folder)


if __name__ == "__main__":
    main()
