"""How Sphinx builds this site: ``make docs``."""

import atexit
import logging
import os
import shutil
import tempfile
from typing import Any

# Airflow reads these when it is first imported, which autodoc does.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="pgclone-docs-")
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=_AIRFLOW_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_AIRFLOW_HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=f"{_AIRFLOW_HOME}/logs",
    AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
)
logging.getLogger("airflow").setLevel(logging.ERROR)

from airflow_provider_pgclone import __version__  # noqa: E402

project = "airflow-provider-pgclone"
author = "the authors of airflow-provider-pgclone"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "airflow-provider-pgclone"
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options: dict[str, Any] = {"navigation_with_keys": True}
