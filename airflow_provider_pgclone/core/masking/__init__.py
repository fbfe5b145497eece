"""Masking, in three packages: rules, discovery of personal data, and planning."""
