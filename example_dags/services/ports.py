"""Free TCP ports on the loopback interface."""

import socket
from contextlib import ExitStack
from random import SystemRandom

# Below those that a system gives to outgoing connections, from 32768 on Linux and from 49152
# elsewhere: such a connection could take a port before its server does, or while that restarts.
LOWEST = 20000
HIGHEST = 32767
# Processes that seed ``random`` alike must not all choose the same ports.
_RANDOM = SystemRandom()


def is_free(port: int) -> bool:
    """Tell whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that nothing listens on."""
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            port = _RANDOM.randint(LOWEST, HIGHEST)
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
        return ports
