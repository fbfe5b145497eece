"""Services that only tests use; servers that people are shown are in ``example_dags.services``."""
