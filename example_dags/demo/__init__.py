"""A demo of the example DAGs with an embedded PostgreSQL server and local storage."""
