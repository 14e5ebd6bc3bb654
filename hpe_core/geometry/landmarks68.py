"""The 68 Multi-PIE landmarks (iBUG order) of the mean head, in the head frame (origin sellion, x left, y down, z back).

The points are the mean over 14,607 photographs, in units in which size_px of a face is 0.2 m, with the mouth as people
hold it in photographs. They were triangulated from image positions and labelled poses (training/label/landmarks.py):
the rigid fit of this shape to landmarks gives the head rotation of the labels, the canonical orientation of 300W-LP.
ICT-FaceKit's neutral head fits this shape when turned by 1 to 3 degrees about x (v_head = Rx(+angle) v_ict), not by 9.
Right and left are the subject's own; the jaw (0-16) is made of points fixed to the head, which do not slide to the
silhouette when it turns. The outer eye corners are 93 mm apart, the ends of the jaw 145 mm.
"""

import numpy as np

# (68,) FLIP_68[i]: the landmark on the other side. A mirrored image has mirrored(landmarks)[FLIP_68].
FLIP_68 = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)

REFERENCE_LANDMARKS_M = np.array(
    [
        [-0.0725, 0.0091, 0.0735],  # jaw, from the subject's right ear
        [-0.0718, 0.024, 0.076],
        [-0.0711, 0.0389, 0.0755],
        [-0.0671, 0.0633, 0.0714],
        [-0.0615, 0.0783, 0.0648],
        [-0.046, 0.0986, 0.0446],
        [-0.0369, 0.1057, 0.0352],
        [-0.0187, 0.1156, 0.0199],
        [0.0, 0.1187, 0.0147],
        [0.0187, 0.1156, 0.0199],
        [0.0369, 0.1057, 0.0352],
        [0.046, 0.0986, 0.0446],
        [0.0615, 0.0783, 0.0648],
        [0.0671, 0.0633, 0.0714],
        [0.0711, 0.0389, 0.0755],
        [0.0718, 0.024, 0.076],
        [0.0725, 0.0091, 0.0735],
        [-0.0585, -0.0119, 0.0322],  # right brow, outer end first
        [-0.0519, -0.0181, 0.0234],
        [-0.0418, -0.0216, 0.0154],
        [-0.029, -0.0213, 0.0084],
        [-0.0146, -0.0199, 0.004],
        [0.0146, -0.0199, 0.004],  # left brow, inner end first
        [0.029, -0.0213, 0.0084],
        [0.0418, -0.0216, 0.0154],
        [0.0519, -0.0181, 0.0234],
        [0.0585, -0.0119, 0.0322],
        [0.0, 0.0005, -0.0001],  # bridge of the nose, 27 = sellion
        [0.0, 0.0112, -0.0083],
        [0.0, 0.0249, -0.0192],
        [0.0, 0.0335, -0.0236],
        [-0.0139, 0.0433, -0.0037],  # nostrils
        [-0.0081, 0.0473, -0.0064],
        [0.0, 0.0474, -0.0088],
        [0.0081, 0.0473, -0.0064],
        [0.0139, 0.0433, -0.0037],
        [-0.0464, 0.0018, 0.0261],  # right eye: outer corner, lid, inner corner, lower lid
        [-0.0392, -0.0018, 0.0216],
        [-0.0284, -0.0025, 0.02],
        [-0.0178, 0.0027, 0.0171],
        [-0.0267, 0.0048, 0.0186],
        [-0.0374, 0.0049, 0.0202],
        [0.0178, 0.0027, 0.0171],  # left eye: inner corner, lid, outer corner, lower lid
        [0.0284, -0.0025, 0.02],
        [0.0392, -0.0018, 0.0216],
        [0.0464, 0.0018, 0.0261],
        [0.0374, 0.0049, 0.0202],
        [0.0267, 0.0048, 0.0186],
        [-0.0279, 0.0701, 0.0168],  # outer lips, from the right corner over the top
        [-0.0167, 0.0628, 0.0005],
        [-0.0083, 0.0608, -0.0052],
        [0.0, 0.0618, -0.0071],
        [0.0083, 0.0608, -0.0052],
        [0.0167, 0.0628, 0.0005],
        [0.0279, 0.0701, 0.0168],
        [0.0212, 0.0769, 0.0102],
        [0.0083, 0.0833, 0.0023],
        [0.0, 0.084, 0.0004],
        [-0.0083, 0.0833, 0.0023],
        [-0.0212, 0.0769, 0.0102],
        [-0.024, 0.0698, 0.0169],  # inner lips
        [-0.0064, 0.0681, 0.0016],
        [0.0, 0.0682, -0.0006],
        [0.0064, 0.0681, 0.0016],
        [0.024, 0.0698, 0.0169],
        [0.0068, 0.0739, 0.0022],
        [0.0, 0.0742, 0.0003],
        [-0.0068, 0.0739, 0.0022],
    ]
)
