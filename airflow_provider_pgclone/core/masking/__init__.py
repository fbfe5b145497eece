"""Masking in flight: a dump reads masked values in place of personal data.

``rules`` turns the rules of users into SQL, ``discovery`` finds columns that look personal,
``unmasked`` finds what no mask reaches, and ``planning`` decides what a dump reads of each table.
Import these packages, not this one. Nothing here copies rows; ``reading`` does.
"""
