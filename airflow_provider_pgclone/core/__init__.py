"""The clone engine. Files are verbs, such as dump and restore; packages are what the verbs use.

``errors``, ``cancellation`` and ``progress`` are the ground: every package may import them.
Nothing here knows Airflow, its connections or its configuration.
"""
