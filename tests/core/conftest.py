import os
import subprocess
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from example_dags.services import PostgresServer

NO_MORE: Mapping[str, str] = MappingProxyType({})
RunTool = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run_tool(postgres: PostgresServer) -> RunTool:
    """Run a PostgreSQL program on a database, as the superuser unless told otherwise."""

    def run(
        program: str,
        database: str,
        *arguments: str,
        stdin: bytes = b"",
        role: str | None = None,
        environment: Mapping[str, str] = NO_MORE,
    ) -> subprocess.CompletedProcess[bytes]:
        connection = {
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
            "PGOPTIONS": f"-c role={role}" if role else "",
            "LC_ALL": "C",
        }
        return subprocess.run(
            [postgres.bin_dir / program, f"--dbname={database}", *arguments],
            env={**os.environ, **connection, **environment},
            input=stdin,
            capture_output=True,
            check=False,
        )

    return run
