"""What differs between two databases, and how a person is told.

Here are the count of rows of a live database in bounded time, the difference between the tables of
two databases as a value, and its text in Markdown. Which databases are compared does not belong
here: the verb says so.
"""

from airflow_provider_pgclone.core.comparing.counts import count_rows
from airflow_provider_pgclone.core.comparing.difference import Comparison, Side
from airflow_provider_pgclone.core.comparing.markdown import markdown_table

__all__ = [
    "Comparison",
    "Side",
    "count_rows",
    "markdown_table",
]
