"""The settings of the project; libpq's variables say where its database is."""

import os

SECRET_KEY = "unused"
INSTALLED_APPS = ["pgclone"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
        "NAME": os.environ["PGDATABASE"],
    }
}
PGCLONE_INSTANCE = "prod"
PGCLONE_STORAGE_LOCATION = os.environ["PGCLONE_STORAGE_LOCATION"]
# Its default runs Django's migrations on what was restored, and this project has none.
PGCLONE_PRE_SWAP_HOOKS: list[str] = []
