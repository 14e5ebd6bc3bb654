"""Rotations, Euler conventions, frames, camera model, look-at rectification: small pure functions, batch first."""
