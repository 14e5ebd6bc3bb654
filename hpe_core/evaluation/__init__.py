"""Errors against ground truth."""
