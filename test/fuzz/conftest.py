"""Repeatable hypothesis runs: a failure in continuous integration is a failure at home."""

from hypothesis import settings

settings.register_profile("repeatable-fuzz", deadline=None, max_examples=150, derandomize=True, database=None)
settings.load_profile("repeatable-fuzz")
