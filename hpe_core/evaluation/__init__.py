"""Errors against truth."""
