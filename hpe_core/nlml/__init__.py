"""NLML: head pose from landmarks by a nonlinear manifold of shapes over identity and rotation (arXiv 2507.18429).

`model.load(path)` reads a model file, `infer.infer(model, points_m, visible)` gives poses with covariance. NumPy only.
"""
