"""Free TCP ports on the loopback interface."""

import socket
from contextlib import ExitStack


def free_ports(count: int, highest: int = 65535) -> list[int]:
    """Return ``count`` ports that nothing listens on, none of them above ``highest``."""
    with ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port <= highest:
                ports.append(port)
        return ports
