"""NLML, non-linear manifold learning: head pose from landmarks by a manifold of shapes over identity and rotation.

The method of arXiv 2507.18429.

`model.load(path)` reads a model file, `infer.infer(model, points_m, visible)` gives poses with covariance. NumPy only.
"""
