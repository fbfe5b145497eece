"""Dump, list, restore, swap and copy PostgreSQL databases from Apache Airflow."""

__version__ = "0.1.0"
