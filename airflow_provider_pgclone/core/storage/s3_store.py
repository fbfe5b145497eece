"""Open a bucket for obstore: with fresh credentials, and with retries that are bounded by time."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from airflow_provider_pgclone.core.errors import StorageError
from airflow_provider_pgclone.core.storage.s3_access import S3Access

if TYPE_CHECKING:
    from obstore.store import ClientConfig

# Shorter than the shortest life of assumed-role credentials (15 minutes), so that a long upload
# always has fresh ones.
CREDENTIALS_TTL = timedelta(minutes=10)
REQUEST_TIMEOUT = timedelta(minutes=5)
CONNECT_TIMEOUT = timedelta(seconds=20)
# How long storage may refuse, be gone or cut connections before a dump of hours is given up. It is
# longer than the time-out, so that a request that was not answered is sent once more; and shorter
# than a signature is valid (15 minutes), since that is not renewed.
RETRY_TIMEOUT = timedelta(minutes=6)
# The waits grow, at random, from the first to the longest, and there are tries enough for all this
# time: the 10 of obstore's defaults are through within 3 seconds.
MAX_RETRIES = 40
FIRST_WAIT = timedelta(milliseconds=200)
LONGEST_WAIT = timedelta(seconds=15)
WAIT_GROWTH = 3


def open_store(bucket: str, prefix: str, access: S3Access) -> S3Store:
    """Return the store of a prefix of a bucket.

    :raises StorageError: when there are no credentials.
    """
    options: "ClientConfig" = {
        "timeout": REQUEST_TIMEOUT,
        "connect_timeout": CONNECT_TIMEOUT,
        "allow_http": (access.endpoint_url or "").startswith("http://"),
    }
    if access.verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(access.verify, str):
        options["root_certificate"] = Path(access.verify).read_bytes()
    config: dict[str, Any] = {"virtual_hosted_style_request": access.virtual_hosted}
    if access.endpoint_url:
        config["endpoint"] = access.endpoint_url
    if access.region:
        config["region"] = access.region
    if access.session.get_credentials() is None:
        raise StorageError(
            f"no AWS credentials for s3://{bucket}",
            hint="Set them in the connection of storage_conn_id, or in the worker's environment.",
        )
    return S3Store(
        bucket,
        prefix=prefix or None,
        # Storage checks each part against it, so that what is stored is what was sent.
        checksum_algorithm="CRC64NVME",
        client_options=options,
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": RETRY_TIMEOUT,
            "backoff": {
                "init_backoff": FIRST_WAIT,
                "max_backoff": LONGEST_WAIT,
                "base": WAIT_GROWTH,
            },
        },
        credential_provider=Boto3CredentialProvider(access.session, ttl=CREDENTIALS_TTL),
        **config,
    )
