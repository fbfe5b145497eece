"""The dumps among which a person chooses, and the choice."""

from typing import TYPE_CHECKING

from airflow_provider_pgclone.hooks.call import Call
from airflow_provider_pgclone.options import check_allowed

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.repository import Choice, Wanted


def check_target_of(call: Call, cancellation: "Cancellation") -> None:
    """Refuse the database of a call, if a restore with the same options would refuse to replace it.

    :raises NotAllowedError: when restores are forbidden, or the database is not allowed.
    :raises NotFoundError: when it does not exist and may not be made.
    """
    from airflow_provider_pgclone.core.restore import check_restore_over

    check_allowed("restore", call.guards)
    check_restore_over(
        call.database.name,
        call.maintenance,
        call.allowed_targets(),
        create_target=call.value("create_target", bool),
        cancellation=cancellation,
    )


class Choices:
    """Dumps that a restore with the same options takes, the newest first."""

    def __init__(self, call: Call, prefix: str, cancellation: "Cancellation") -> None:
        self._call = call
        self._prefix = prefix
        self._cancellation = cancellation

    @property
    def required(self) -> tuple[str, ...]:
        """What dumps must be: ``masked``, ``verified`` and ``signed``, as far as it is required."""
        kinds = ("masked", "verified", "signed")
        return tuple(kind for kind in kinds if self._call.value(f"require_{kind}", bool))

    def list(self) -> "list[Choice]":
        """Return the dumps, each with its ``key`` and a ``label`` that no other has.

        Dumps that are damaged, or have no manifest, are not among them.

        :raises NotFoundError: when there is none.
        """
        from airflow_provider_pgclone.core.repository import list_choices

        return list_choices(
            self._call.storage(),
            self._wanted(),
            limit=self._call.optional("limit", int),
            cancellation=self._cancellation,
        )

    def check(self, key: str) -> str:
        """Return the key that was chosen, if a restore would take it; ask the storage again.

        :param key: a dump key, a prefix (its newest dump), or a local key such as ``:pre``.
        :raises InvalidInputError: when it is not under the prefix. Of local keys, only ``:pre`` and
            ``:post`` are as good as the dumps under one: they were the target.
        """
        from airflow_provider_pgclone.core.repository import KeyPrefix, check_choice
        from airflow_provider_pgclone.core.restore import check_local_key

        if not key.startswith(":"):
            return check_choice(self._call.storage(), key, self._wanted())
        return check_local_key(
            self._call.database.name,
            self._call.maintenance,
            key,
            is_kept=bool(str(KeyPrefix.parse(self._prefix))),
            require_masked=self._call.value("require_masked", bool),
            cancellation=self._cancellation,
        )

    def _wanted(self) -> "Wanted":
        from airflow_provider_pgclone.core.repository import Wanted

        return self._call.fill(Wanted, prefix=self._prefix, signing_key=self._call.signing_key())
