"""A page that is served from a thread of the test."""

import threading
import time
from contextlib import contextmanager

from rl_attn.supervised.page_server import free_port, server, upload_folder


@contextmanager
def served(make):
    """`with served(lambda folder: blocks) as (port, folder):`."""
    with free_port(0) as listener, upload_folder() as folder:
        port = listener.getsockname()[1]
        serving = server(make(folder), folder, port)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 120
            while not serving.started and time.monotonic() < deadline:
                time.sleep(0.05)
            yield port, folder
        finally:
            serving.should_exit = True
            thread.join(60)
