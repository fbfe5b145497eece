"""``python -m bench.ours.start`` does what comes before the first byte of a dump."""

import bench.ours.dump  # noqa: F401  # imports what a dump needs
from bench.ours import servers

if __name__ == "__main__":
    servers.storage()
