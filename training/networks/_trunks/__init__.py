"""What turns a crop into maps, and what all crop methods share (method.py)."""
