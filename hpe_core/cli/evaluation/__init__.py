"""`hpe eval` and `hpe convert`: a file for each, with its arguments and what it does."""
