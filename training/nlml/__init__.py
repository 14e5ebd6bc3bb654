"""From heads or photographed faces to an NLML model: tensor, Tucker decomposition, curves, feed-forward network."""
