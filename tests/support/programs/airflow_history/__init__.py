"""An Airflow installation with a history, made by a program of its own."""
