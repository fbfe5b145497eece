"""How to reach S3, as a value that needs none of the libraries for S3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3.session


@dataclass(frozen=True)
class S3Access:
    """How to reach S3, from an AWS connection.

    :param session: returns credentials, and refreshes those that expire.
    :param client: a boto3 client of the same connection. It lists, since obstore can only fold at
        ``/`` and cannot list from within a folder.
    :param endpoint_url: the URL of the server, ``None`` for AWS.
    :param region: ``None`` for the default.
    :param verify: whether to check the certificate of the server, or the path of its authority's
        certificate.
    :param virtual_hosted: whether the bucket is part of the host name instead of the path.
    """

    session: "boto3.session.Session"
    client: Any
    endpoint_url: str | None = None
    region: str | None = None
    verify: bool | str | None = None
    virtual_hosted: bool = False
