"""Real servers for the demo, the benchmarks and the tests, each in a folder of its own.

PostgreSQL and SeaweedFS come from PyPI, in the dependency group ``services``.
"""

from example_dags.services.ports import free_ports, is_free
from example_dags.services.postgres import NOBODY, PostgresServer, postgres_server, standby_server
from example_dags.services.seaweedfs import S3Server, s3_server

__all__ = [
    "NOBODY",
    "PostgresServer",
    "S3Server",
    "free_ports",
    "is_free",
    "postgres_server",
    "s3_server",
    "standby_server",
]
