"""DAGs that show this provider, and a demo that runs them."""
