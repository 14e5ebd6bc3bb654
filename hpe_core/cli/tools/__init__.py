"""Commands that are done by the training tools of a source checkout."""
