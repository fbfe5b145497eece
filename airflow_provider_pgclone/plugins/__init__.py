"""Code that Airflow loads into each of its processes, by the entry point ``airflow.plugins``."""
