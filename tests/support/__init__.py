"""What tests share: servers, fixtures and programs that run beside them."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
