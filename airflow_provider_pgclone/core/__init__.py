"""The clone engine: dump, restore, copy, list, verify and prune. It imports nothing of Airflow."""
