"""Masking: what a dump or a copy reads in the place of personal data."""
