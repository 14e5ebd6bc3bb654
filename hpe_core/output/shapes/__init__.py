"""What a run writes about the shape of faces."""
