"""Opens a bucket for obstore, with credentials that are refreshed and retries limited in time."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from airflow_provider_pgclone.core.errors import StorageError
from airflow_provider_pgclone.core.storage.s3_access import S3Access

if TYPE_CHECKING:
    from obstore.store import ClientConfig

# Credentials of assumed roles are valid for at least 15 minutes. They are refreshed earlier, so
# that a long upload always has valid ones.
CREDENTIALS_TTL = timedelta(minutes=10)
REQUEST_TIMEOUT = timedelta(minutes=5)
CONNECT_TIMEOUT = timedelta(seconds=20)
# A request is retried for this long; then a dump that may have taken hours fails. It is longer than
# the timeout, so that a request without an answer is sent again. It is shorter than the validity of
# a signature (15 minutes), since a retry does not sign again.
RETRY_TIMEOUT = timedelta(minutes=6)
# The waits between retries grow randomly from the first to the longest. The number of retries must
# suffice for the whole time; the default of obstore, 10, lasts for 3 seconds.
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
        # Storage compares each part with its checksum, so that damaged parts are not stored.
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
