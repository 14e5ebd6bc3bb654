"""One pose from the poses of one head by several cameras.

Their errors are correlated in part: every camera takes the head for one of mean size and has the same idea of where its
face points, and cameras that see the same profile err alike. How much is not known. So the mean is that of the
information form, in which each pose counts in each direction as much as it is certain, but its covariance is not the
one of independent errors. It is the smallest that holds for every correlation: with e = sum A_i e_i, weights w_i > 0
that sum to 1, and C_i the covariance of e_i, cov(e) <= sum A_i C_i A_i^T / w_i (Cauchy and Schwarz). The covariance
intersection of Julier and Uhlmann (ACC 1997) rests on the same bound; its mean is bound to its weights and was worse.
"""

from collections.abc import Sequence

import numpy as np

from hpe_core.geometry import so3
from hpe_core.people.poses import FixedPose

STEPS = 2


def fused(poses: Sequence[FixedPose]) -> FixedPose:
    """The mean of one or more poses of one head, with a covariance that holds however their errors are correlated."""
    if len(poses) == 1:
        return poses[0]
    information = np.linalg.inv(np.array([pose.covariance for pose in poses]))  # (N, 6, 6)
    independent = np.linalg.inv(information.sum(0))
    rotations = np.array([pose.R_fixed_head for pose in poses])
    places_m = np.array([pose.t_fixed_head_m for pose in poses])
    R, t = rotations[0], places_m[0]
    for _ in range(STEPS):  # the second one is about the mean, where rotations add up
        errors = np.hstack([places_m - t, so3.rotvec_from_matrix(rotations @ R.T)])
        step = independent @ np.einsum("nij,nj->i", information, errors)
        t, R = t + step[:3], so3.matrix_from_rotvec(step[3:]) @ R
    covariance = independent @ np.einsum("n,nij->ij", 1.0 / bound_weights(information, independent), information)
    covariance = covariance @ independent
    return FixedPose(R, t, 0.5 * (covariance + covariance.T))


def bound_weights(information: np.ndarray, independent: np.ndarray) -> np.ndarray:
    """Weights (N,) of the tightest bound for information matrices (N, D, D) and the inverse (D, D) of their sum.

    The tightest in units of `independent`: the trace of independent^-1 @ bound is smallest.
    """
    root = np.sqrt(np.einsum("ij,nji->n", independent, information))
    return root / root.sum()
