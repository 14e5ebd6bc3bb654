"""ICT-FaceKit heads (MIT): 100 identity modes, 53 expressions, 68 landmark vertices. Head frame, metres.

F = neutral + identity . S + expression . E, of a head of reference size whose face is turned like the mean face and
whose neutral sellion is the origin: S is ICT's own basis with what it turns, scales and shifts taken out. How large
people of that shape are is kept apart, in `log_size`: an image does not show it.

Of ICT's 57 expressions four are left out: PupilDilate_L/R move nothing but the pupil, and cheekRaiser_L/R do what
cheekSquint_L/R do (cosine 0.92) and are no ARKit names. The 53 are ARKit's, browInnerUp and cheekPuff by side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from training.render import assets
from training.render.assets import Surface
from training.render.heads.head import scaled_rotation

# v_head = R_HEAD_ICT @ diag(1, -1, -1) @ v_ict. At this tilt labels of renders agree with those of photos:
# ICT's neutral landmarks on the mean face of 14,607 labelled photos give +2 (1 to 3) deg, three teachers on 120
# near-frontal renders (calibrate.py --skins) +1.4 +- 0.3 deg, with 1.8 between them. The 9 of the fit to five points in
# training/label/calibrate.py, which gave the scale, had every method 7 deg off in pitch on such renders. At 2.0 four
# teachers on 110 near-frontal renders gave +3.1, +1.4, +0.7 and 0.0 after their own constants on photos, mean 1.3.
PITCH_ICT_DEG = 0.7
METRES_PER_UNIT = 0.010092
R_HEAD_ICT = Rotation.from_euler("x", PITCH_ICT_DEG, degrees=True).as_matrix() @ np.diag([1.0, -1.0, -1.0])
# Vertices where this project's 68 landmarks lie (hpe_core.geometry.landmarks68). Of jaw, brows and nose: those nearest
# to the median of the near-frontal labelled photographs laid on the neutral face (scale 1.004), which lies 1.1 mm
# beside them. Lids and lips: ICT-FaceKit's own Multi-PIE vertices or, where the photographs lie more than a millimetre
# aside, neighbours along the edge. ICT's own brows lie 5 mm higher, the wings of its nose 5 mm lower, its jaw begins
# 11 mm higher.
LANDMARKS = np.array(
    [1885, 1239, 1051, 1898, 745, 781, 1674, 1445, 969, 3659, 3881, 3022, 2986, 4098, 3271, 3457, 4085]
    + [385, 388, 483, 1416, 2026, 4223, 3630, 2724, 2629, 2626, 971, 4527, 4839, 4857, 4585, 2088, 4558, 4282, 5050]
    + [1507, 1542, 1537, 1528, 590, 1552, 3742, 3751, 3756, 3721, 3766, 2831]
    + [5708, 5695, 2081, 0, 4275, 6200, 6213, 6331, 6480, 5518, 5976, 5826]
    + [5702, 6036, 5533, 6540, 6207, 6486, 5517, 5982]
)
# ICT-FaceKit's own 68, by which its zero of pitch was set
MULTI_PIE = np.array(
    [1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443]
    + [268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360]
    + [1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732]
    + [5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841]
    + [5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966]
)
SELLION = 978  # vertex at the origin: ICT's landmark 27
FACE_VERTICES = 9409
SKIN, MOUTH, TEETH, EYES = ("M_Face", "M_BackHead"), ("M_GumsTongue",), ("M_Teeth",), ("M_ScleraLeft", "M_ScleraRight")
LASHES = ("M_EyeLashes",)
LEFT_OUT = ("PupilDilate_L", "PupilDilate_R", "cheekRaiser_L", "cheekRaiser_R")
# how far an eyeLook of 1 turns the ball; ICT moves the lids alone
GAZE_DEG = {"eyeLookOut": 40.0, "eyeLookIn": 40.0, "eyeLookUp": 30.0, "eyeLookDown": 35.0}


class IctModel:
    def __init__(self, data: Path = assets.DEFAULT_DATA):
        path = assets.require(Path(data) / "heads" / "ict_facekit" / "ict_facekit_2020.npz")
        with np.load(path) as d:
            neutral, identity, expression = d["neutral"], d["identity_delta"], d["expression_delta"]
            uv, quads, quads_uv = d["uv"], d["faces_quad"], d["faces_uv"]
            material = d["material_names"][d["face_material"]]
            names = [str(n) for n in d["expression_names"]]
        to_head = METRES_PER_UNIT * R_HEAD_ICT.T
        origin = neutral[SELLION].astype(float)
        self.neutral = (neutral - origin) @ to_head  # (V, 3)
        self.reference = self.neutral[:FACE_VERTICES]
        to_head = to_head.astype(np.float32)
        self.identity = identity.astype(np.float32) @ to_head  # (100, V, 3) per standard deviation
        self.log_size = self._without_similarity(self.identity)  # (100,) ln of the size per standard deviation
        kept = [i for i, name in enumerate(names) if name not in LEFT_OUT]
        self.expression_names = [names[i] for i in kept]
        self.expression = expression[kept].astype(np.float32) @ to_head  # (53, V, 3)
        eyes = np.unique(quads[np.isin(material, EYES)])
        uv = uv.copy()
        uv[:, 0] /= 2  # the face is the left half of the texture, the rest of the head the right half
        self.eye_balls = [eyes[self.neutral[eyes, 0] * side > 0] for side in (1, -1)]

        def surface(names):
            pick = np.isin(material, names)
            return quad_surface(quads[pick], quads_uv[pick], uv, len(neutral))

        self.surfaces = {"skin": surface(SKIN), "mouth": surface(MOUTH), "teeth": surface(TEETH)}
        self.surfaces["eyes"] = self._eye_surface(quads[np.isin(material, EYES)])
        self.surfaces["lashes"] = self._lash_surface(quads[np.isin(material, LASHES)])

    def _without_similarity(self, identity: np.ndarray) -> np.ndarray:
        """Take out of identity (100, V, 3), in place, what turns, scales and shifts the face, to first order.

        Returns the scale taken out, (100,) ln of the size."""
        log_size = np.zeros(len(identity))
        for i, delta in enumerate(identity):
            laid = []
            for sign in (1, -1):
                v = self.neutral + sign * delta
                M = scaled_rotation(v[:FACE_VERTICES], self.reference)
                log_size[i] -= sign * np.log(np.linalg.det(M)) / 6
                laid.append((v - v[SELLION]) @ M.T)
            identity[i] = (laid[0] - laid[1]) / 2
        return log_size

    def _eye_surface(self, quads):
        """The white of the eyes with plane texture coordinates around the pupil: radius 0.5 is the rim of the ball."""
        uv = np.zeros((len(self.neutral), 2), np.float32)
        for ball in self.eye_balls:
            v = self.neutral[ball]
            centre = (v.max(0) + v.min(0)) / 2
            uv[ball] = 0.5 + (v[:, :2] - centre[:2]) / 0.026
            uv[ball[v[:, 2] > centre[2]]] = 0.02  # the back is white
        return quad_surface(quads, quads, uv, len(self.neutral))

    def _lash_surface(self, quads):
        """Strips of lashes with texture coordinates (0.25 on the upper lid, 0.75 on the lower; 0 at the lid to 1)."""
        n, uv = len(self.neutral), np.zeros((len(self.neutral), 2), np.float32)
        ends = quads[:, :2], quads[:, 1:3], quads[:, 2:4]
        edges = np.concatenate([pair[(pair >= 0).all(1)] for pair in ends])
        _, strip_of = connected_components(coo_matrix((np.ones(len(edges)), edges.T), (n, n)), directed=False)
        for ball in self.eye_balls:
            eye = (self.neutral[ball].max(0) + self.neutral[ball].min(0)) / 2
            used = np.unique(quads[quads >= 0])
            used = used[self.neutral[used, 0] * eye[0] > 0]
            for strip in np.unique(strip_of[used]):
                v = used[strip_of[used] == strip]
                away = np.linalg.norm(self.neutral[v] - eye, axis=1)
                lower = self.neutral[v, 1].mean() > eye[1] + 0.002
                uv[v, 0] = 0.75 if lower else 0.25
                uv[v, 1] = (away - away.min()) / np.ptp(away)
        return quad_surface(quads, quads, uv, n)

    def face(self, identity: np.ndarray, expression: np.ndarray, size: float = 1.0) -> np.ndarray:
        """identity (100,) or fewer in standard deviations, expression (53,) mostly 0..1 -> vertices (V, 3) of a head
        `size` times the reference size, its eyes turned to where the lids say."""
        v = self.neutral + np.tensordot(identity.astype(np.float32), self.identity[: len(identity)], 1)
        used = np.flatnonzero(expression)
        v += np.tensordot(expression[used].astype(np.float32), self.expression[used], 1)
        for ball, (yaw, pitch) in zip(self.eye_balls, self.gaze_rad(expression).reshape(2, 2), strict=True):
            centre = (v[ball].max(0) + v[ball].min(0)) / 2
            turn = Rotation.from_euler("YX", [-yaw, -pitch]).as_matrix()
            v[ball] = centre + (v[ball] - centre) @ turn.T
        return size * v

    def gaze_rad(self, expression: np.ndarray) -> np.ndarray:
        """(4,) left yaw, pitch, right yaw, pitch of the eyeballs in the head, positive to the subject's left and up."""
        value = dict(zip(self.expression_names, expression, strict=True))

        def angle(name, side):
            return GAZE_DEG[name] * value[f"{name}_{side}"]

        return np.radians(
            [
                *(
                    angle("eyeLookOut", "L") - angle("eyeLookIn", "L"),
                    angle("eyeLookUp", "L") - angle("eyeLookDown", "L"),
                ),
                *(
                    angle("eyeLookIn", "R") - angle("eyeLookOut", "R"),
                    angle("eyeLookUp", "R") - angle("eyeLookDown", "R"),
                ),
            ]
        )


def quad_surface(quads, quads_uv, uv, n_vertices) -> Surface:
    """(F, 4) quads, -1 in the last place of a triangle."""
    corners = np.stack([quads, quads_uv], -1)  # (F, 4, 2)
    full = quads[:, 3] >= 0
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[full][:, [0, 2, 3]]]).reshape(-1, 2)
    unique, inverse = np.unique(triangles, axis=0, return_inverse=True)
    return Surface(
        unique[:, 0], uv[unique[:, 1]].astype(np.float32), inverse.reshape(-1, 3).astype(np.int32), n_vertices
    )
