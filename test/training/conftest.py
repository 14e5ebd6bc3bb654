"""Synthetic shards: images with faces at known places."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_shard():
    """write_shard(path, images, faces): images (H, W, 3) uint8, faces a list of dicts with `image` and label values."""

    def write(path, images, faces, alphas=None):
        def packed(arrays, suffix):
            parts = [cv2.imencode(suffix, array)[1].ravel() for array in arrays]
            offset = np.cumsum([0] + [len(part) for part in parts]).astype(np.int64)
            return np.concatenate(parts), offset

        values = {"R_local": np.eye(3), "size_px": 60.0, "rot_std_deg": 1.0, "weight": 1.0}
        faces = [values | face for face in faces]
        columns = {
            name: np.array([face[name] for face in faces], np.float32).reshape((len(faces), *shape))
            for name, shape in {
                "R_local": (3, 3),
                "centre_px": (2,),
                "size_px": (),
                "rot_std_deg": (),
                "weight": (),
            }.items()
        }
        blob, offset = packed(images, ".jpg")
        masks = {}
        if alphas is not None:
            masks["alpha_blob"], masks["alpha_offset"] = packed(alphas, ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            blob=blob,
            offset=offset,
            person=np.array([f"p{i}" for i in range(len(images))]),
            source=np.array([f"s{i}" for i in range(len(images))]),
            face_image=np.array([face["image"] for face in faces], np.int32),
            landmarks_px=np.full((len(faces), 68, 2), np.nan, np.float32),
            **columns,
            **masks,
        )

    return write


@pytest.fixture
def crop_file(tmp_path, write_shard):
    """Stored crops of four faces, one of them without a pose, as training.data.crops writes them."""
    from hpe_core.geometry.euler import EulerDeg, aflw2000
    from training.data import crops
    from training.data.shards import ShardSet

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (160, 160, 3)).astype(np.uint8) for _ in range(3)]
    R = aflw2000.to_matrix(EulerDeg(yaw=25.0, pitch=-10.0, roll=5.0))
    faces = [{"image": i, "centre_px": (80.0, 70.0), "size_px": 90.0, "R_local": R} for i in range(3)]
    faces.append({"image": 0, "centre_px": (80.0, 70.0), "size_px": 90.0, "weight": 0.0})
    faces.append({"image": 0, "centre_px": (80.0, 70.0), "size_px": 20.0, "weight": 0.0})
    write_shard(tmp_path / "photos" / "shard_0000.npz", images, faces)
    shards = ShardSet([tmp_path / "photos"])
    np.savez(tmp_path / "crops.npz", **crops.store(shards, shards))
    return tmp_path / "crops.npz"


@pytest.fixture
def rigid_model():
    """rigid_model(noise_std) -> NLML model of a rigid face of 12 landmarks with two ways to differ, exact."""
    from hpe_core.nlml.bases import RotationBasis
    from hpe_core.nlml.model import Model

    def make(noise_std=0.001):
        rng, m = np.random.default_rng(0), 12
        shapes = np.stack([rng.uniform(-1, 1, (m, 3)) * [0.06, 0.08, 0.05], *(0.003 * rng.normal(size=(2, m, 3)))])
        weights = np.zeros((3, 10, m, 3))
        for a in range(3):
            for b in range(3):
                weights[:, 1 + 3 * a + b, :, a] = shapes[:, :, b]
        limits = [[-90.0, 90.0], [-60.0, 60.0], [-60.0, 60.0]]
        return Model(
            basis=RotationBasis(1),
            weights=weights.reshape(3, 10, -1),
            features=np.eye(3 * m),
            noise_std=np.full(3 * m, noise_std),
            limits_deg=limits,
        )

    return make


@pytest.fixture
def as_samples():
    """as_samples(points, visible, R) -> NLML Samples, each face another person."""
    pytest.importorskip("tqdm")
    from training.nlml.samples import Samples

    def make(points, visible, R):
        names = np.array([f"p{i:04d}" for i in range(len(points))])
        return Samples(points, visible, R, names, names)

    return make


@pytest.fixture(scope="module")
def studio():
    """A renderer, where there are heads to render and a way to draw them."""
    from hpe_core.errors import HpeError
    from training.render import assets
    from training.render.studio import Studio

    if not (assets.DEFAULT_DATA / "heads" / "makehuman").exists():
        pytest.skip(f"no render data in {assets.DEFAULT_DATA}")
    try:
        return Studio()
    except HpeError as error:
        pytest.skip(str(error))
