"""Copy a live database to another, on its server or elsewhere, with no storage between.

The source's sessions go on. psql writes the rows of its snapshot straight into the named pipes that
pg_restore reads; what is not planned comes from pg_dump, one block after another.
"""

import logging

log = logging.getLogger(__name__)
