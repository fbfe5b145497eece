"""``python -m airflow_provider_pgclone``: the commands without the program ``airflow``."""

from airflow_provider_pgclone.cli import main

main()
