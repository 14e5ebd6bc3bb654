"""Identity and smoothing over time, driven by message stamps only."""
