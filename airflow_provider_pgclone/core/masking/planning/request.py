"""What the user asks of masking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_pgclone.core.masking.rules import (
    Rule,
    check_key,
    check_no_service,
    encrypted,
    with_key,
)
from airflow_provider_pgclone.core.postgres import Database

Policy = Literal["classified", "suspects"]


@dataclass(frozen=True)
class Masking:
    """Which columns a dump masks, which rows it leaves out, and what makes it fail.

    :param masks: rules, by patterns of tables and names of columns.
    :param rows: conditions in SQL, by patterns of tables.
    :param follow_fks: whether rows that refer to left-out rows are left out too.
    :param keep: patterns of columns that are declared safe.
    :param policy: which columns make the dump fail if they have no rule; ``None`` is none.
    :param key: the secret that makes masks the same in each dump.
    :param mask_without_tls: whether what is derived from the key may cross a network unencrypted.
    """

    masks: Mapping[str, Mapping[str, Rule]] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    follow_fks: bool = False
    keep: Sequence[str] = ()
    policy: Policy | None = None
    key: str | None = field(default=None, repr=False)
    mask_without_tls: bool = False

    def __bool__(self) -> bool:
        return bool(self.masks or self.rows or self.policy)

    @property
    def queries_all(self) -> bool:
        """Whether all tables of the dump are queried, not only those that it masks."""
        return bool(self.rows) or self.policy == "suspects"

    @property
    def may_read_any(self) -> bool:
        """Whether any table may be read: by SQL of the user, or as one that a foreign key names."""
        return bool(self.rows or self.follow_fks) or any(
            rule.name == "sql" for rules in self.masks.values() for rule in rules.values()
        )

    def keyed(self, database: Database) -> Database:
        """Return a database whose sessions can mask.

        :raises InvalidInputError: when the key could be guessed.
        :raises UnsupportedError: when the key would cross a network without TLS.
        """
        self.check_key()
        if self.key is None:
            return database
        check_no_service()
        return with_key(database if self.mask_without_tls else encrypted(database), self.key)

    def check_key(self) -> None:
        """Refuse a key that could be guessed.

        :raises InvalidInputError: the message does not contain the key.
        """
        if self.key is not None:
            check_key(self.key)
