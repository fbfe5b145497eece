"""Finds what no mask reaches, and a masked dump holds as it is: literals, options, large objects.

It looks into the system catalogs alone. Whether such a dump is refused, ``planning`` decides.
"""

from airflow_provider_pgclone.core.masking.unmasked.objects import (
    LARGE_OBJECTS,
    UnmaskedObject,
    find_unmasked,
)

__all__ = ["LARGE_OBJECTS", "UnmaskedObject", "find_unmasked"]
