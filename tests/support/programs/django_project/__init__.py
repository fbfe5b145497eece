"""A Django project that has nothing but django-pgclone, configured by the environment."""
