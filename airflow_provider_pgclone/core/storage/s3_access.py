"""How to reach S3, apart from the libraries that do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3.session


@dataclass(frozen=True)
class S3Access:
    """How to reach S3, as an AWS connection says it.

    :param session: gives credentials, refreshed where they expire.
    :param client: a boto3 client of the same connection: it lists, since obstore's listing can
        neither fold at another character than ``/`` nor start within a folder.
    :param verify: whether to check the server's certificate; a path names its authority.
    :param virtual_hosted: whether the bucket is part of the host name instead of the path.
    """

    session: "boto3.session.Session"
    client: Any
    endpoint_url: str | None = None
    region: str | None = None
    verify: bool | str | None = None
    virtual_hosted: bool = False
