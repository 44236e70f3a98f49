"""Started in place of a job's command: becomes that command, tied to the study that started it.

    _launch.py LOCK PARENT CORES -m MODULE ARGUMENT...

Asks the kernel to be killed with the process that started it, so that a killed study leaves no
run behind; waits until no other process works in the same run folder (the lock stays with this
process, whatever it turns into); keeps to its share of the cores; and turns into the command.

Plain standard library and quick to start.
"""

import errno
import fcntl
import os
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SIGKILL = 9
#: Longer than it takes a file server to notice that a lost machine's lock is void.
SECONDS_FOR_THE_LOCK = 120


def die_with_parent(parent):
    """Ask Linux for SIGKILL at the parent's death; other systems have no such request."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request
        sys.exit(1)


def lock(path):
    """Hold `path` locked until this process ends, after whoever holds it now."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    os.set_inheritable(file, True)
    end = time.monotonic() + SECONDS_FOR_THE_LOCK
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                return None  # a file system without locks
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > end:
                sys.exit(f"error: another process still works in this run folder ({path} is held)")
        time.sleep(0.05)


def main():
    path, parent, cores = sys.argv[1:4]
    die_with_parent(int(parent))
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    lock(path)
    os.execv(sys.executable, [sys.executable, *sys.argv[4:]])


if __name__ == "__main__":
    main()
