"""``python -m airflow_provider_pgclone``: the commands without Airflow's own program."""

from airflow_provider_pgclone.cli import main

main()
