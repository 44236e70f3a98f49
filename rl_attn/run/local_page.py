"""What every page of this machine's alone needs: a port, and a word with those who ask.

A server that answers any Host can be reached by another site that rebinds its own name to 127.0.0.1
(DNS rebinding), and any site may post to it: both headers are looked at before anything else.
"""

import socket
from collections.abc import Mapping

from rl_attn.errors import UserError

_NAMES = ("127.0.0.1", "localhost")


def refusal(headers: Mapping[str, str], port: int) -> str | None:
    """Why a request is refused (403); None where it may pass. Names of headers in lower case.

    >>> refusal({"host": "localhost:7860"}, 7860)
    >>> refusal({"host": "evil.example"}, 7860)
    'this page answers to 127.0.0.1 and localhost alone'
    """
    hosts = {f"{name}:{port}" for name in _NAMES}
    if headers.get("host") not in hosts:
        return "this page answers to 127.0.0.1 and localhost alone"
    if "origin" in headers and headers["origin"] not in {f"http://{host}" for host in hosts}:
        return "this page answers to itself alone, not to other sites"
    return None


def free_port(port: int) -> socket.socket:
    """A socket bound to this port of 127.0.0.1; a UserError where it is not available."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UserError(f"port {port} is not available ({error}): take another --port") from None
    return listener
