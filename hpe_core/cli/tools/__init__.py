"""Commands beside `hpe run`: engines, timing, and what the training tools of a source checkout do."""
