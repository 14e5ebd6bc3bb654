"""The head model that ships with the dense network: ICT-FaceKit's face at half precision, in the head frame.

    python -m training.deploy.head_model --data shared/data --out hpe_core/weights/head_model.npz

Keys: mean (V, 3) metres, float32; identity (40, V, 3) metres per standard deviation and expression (53, V, 3) metres at
1, float16; expression_names (53,); triangles (T, 3) uint16, seen anticlockwise from outside; part (V,) uint8: SKIN,
EYE_LEFT, EYE_RIGHT, MOUTH (gums and tongue), TEETH; landmark_vertices (68,) in iBUG order; identity_mirror (40,)
the sign of each number in the mirror image; log_size (40,); licence.

F = mean + sum identity_i S_i + sum expression_j E_j, a head of the reference size (hpe_core.geometry.head) in the head
frame, origin at the neutral sellion; camera points are R F + t. People of that shape have heads exp(log_size .
identity) times as large, by ICT's scans. Eyeballs do not turn with expressions: turn the vertices of EYE_LEFT and
EYE_RIGHT about the middle of their extent by the gaze.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from training.render import assets
from training.render.assets import Surface
from training.render.heads.ict import FACE_VERTICES, LANDMARKS, IctModel
from training.render.heads.photo_head import MODES

SKIN, EYE_LEFT, EYE_RIGHT, MOUTH, TEETH = range(5)
LICENCE_FILE = Path("heads/ict_facekit/LICENSE")
SOURCE = "ICT-FaceKit (https://github.com/ICT-VGL/ICT-FaceKit), version 2020, reduced; MIT licence:\n\n"


def head_model(ict: IctModel, licence: str) -> dict[str, np.ndarray]:
    """The arrays of the file from ICT-FaceKit's head and the text of its licence."""
    inner = [np.unique(corners(ict.surfaces[name])) for name in ("mouth", "teeth")]
    parts = [np.arange(FACE_VERTICES), *ict.eye_balls, *inner]
    kept = np.concatenate(parts)
    number = np.full(len(ict.neutral), -1)
    number[kept] = np.arange(len(kept))
    triangles = np.concatenate([corners(ict.surfaces[name]) for name in ("skin", "eyes", "mouth", "teeth")])
    triangles = number[triangles]
    return {
        "mean": ict.neutral[kept].astype(np.float32),
        "identity": ict.identity[:MODES, kept].astype(np.float16),
        "expression": ict.expression[:, kept].astype(np.float16),
        "expression_names": np.array(ict.expression_names),
        "triangles": triangles[(triangles >= 0).all(1)].astype(np.uint16),
        "part": np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts]),
        "landmark_vertices": LANDMARKS,
        "identity_mirror": mirror_signs(ict).astype(np.int8),
        "log_size": ict.log_size[:MODES].astype(np.float32),
        "licence": np.array(SOURCE + licence),
    }


def mirror_signs(ict: IctModel) -> np.ndarray:
    """(MODES,) 1 or -1: a mirrored face has identity * signs; ICT-FaceKit's modes are even or odd to 1 %."""
    face, mirror = ict.neutral[:FACE_VERTICES], np.array([-1.0, 1.0, 1.0])
    other = KDTree(face).query(face * mirror)[1]
    modes = ict.identity[:MODES, :FACE_VERTICES]
    return np.sign(np.sum(modes * (modes * mirror)[:, other], axis=(1, 2)))


def corners(surface: Surface) -> np.ndarray:
    """Triangles (T, 3) of a surface as vertices of the head."""
    return surface.vertex[surface.triangles]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    licence = assets.require(args.data / LICENCE_FILE).read_text("utf-8")
    arrays = head_model(IctModel(args.data), licence)
    np.savez_compressed(args.out, **arrays)  # pyright: ignore[reportArgumentType]
    size = args.out.stat().st_size / 1e6
    print(f"{args.out}: {size:.2f} MB, {len(arrays['mean'])} vertices, {len(arrays['triangles'])} triangles")


if __name__ == "__main__":
    main()
