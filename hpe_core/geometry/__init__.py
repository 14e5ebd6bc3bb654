"""Rotations, Euler conventions, frames, camera model, virtual cameras: small pure functions, batch first."""
