"""The options of masking."""

from airflow_provider_pgclone.core.masking.rules import read_masks, read_rows
from airflow_provider_pgclone.options.option import Option, Verb
from airflow_provider_pgclone.options.values import flag, names, one_of, text

_MASKED: tuple[Verb, ...] = ("dump", "copy")

MASK_OPTIONS: tuple[Option, ...] = (
    Option(
        "masks",
        read_masks,
        {},
        "What is read in the place of personal data: `{table pattern: {column: rule}}`, or the "
        "path of a YAML or JSON file that has it; the rules are in docs/masking.md.",
        _MASKED,
        is_content=True,
    ),
    Option(
        "rows",
        read_rows,
        {},
        "Which rows are read: `{table pattern: SQL condition}`, or the path of a file.",
        _MASKED,
        is_content=True,
    ),
    Option(
        "follow_fks",
        flag,
        False,
        "Whether rows whose foreign keys lead to rows that `rows` leaves out are left out as well.",
        _MASKED,
        is_content=True,
    ),
    Option(
        "policy",
        one_of("classified", "suspects"),
        None,
        "What fails a dump before it starts: `classified`, a column that is neither masked nor "
        "declared safe; `suspects`, such a column that looks personal.",
        _MASKED,
        default_help="nothing",
    ),
    Option(
        "keep",
        names,
        [],
        "Columns that are declared safe, as patterns: `schema.table.column`, `table.column` or "
        "`column`.",
        _MASKED,
    ),
    Option(
        "mask_key",
        text,
        None,
        "The secret by which masks are the same each time, of 16 characters or more.",
        _MASKED,
        default_help="none",
        is_secret=True,
    ),
    Option(
        "mask_key_conn_id",
        text,
        None,
        "The Airflow connection whose password is that secret.",
        _MASKED,
        default_help="none",
    ),
    Option(
        "require_masked",
        flag,
        False,
        "Whether only masked dumps are restored, and only masked copies made by stream; where one "
        "source says so, no other can lift it.",
        ("restore", "copy"),
    ),
)
