"""The streaming core: it knows PostgreSQL and object storage, and nothing of Airflow."""
