"""NLML: head pose from landmarks by a nonlinear manifold of shapes over identity and rotation (arXiv 2507.18429).

`load(path)` reads a model file, `infer(model, points_m, visible)` gives poses with covariance. NumPy only.
"""

from hpe_core.nlml.infer import Estimates, infer
from hpe_core.nlml.model import Model, load

__all__ = ["Estimates", "Model", "infer", "load"]
