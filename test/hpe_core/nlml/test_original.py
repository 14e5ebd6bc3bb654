import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml.angles import matrix_from_angles
from hpe_core.nlml.infer import infer
from hpe_core.nlml.landmarks import original_normalised
from hpe_core.nlml.original import GRIDS_DEG, load_original

COSINES = np.array([[0.7, 1.0, 0.0, 0.0], [0.6, 1.0, -np.pi / 2, 0.0], [0.0, 1.0, 0.0, 0.3]])


def files(folder, mirrored=(), seed=0, people=12):
    """The two files of a run on exact rotations of a 68-point face; `mirrored` axes turn the other way."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(people, 68, 3)) * 0.002 + rng.normal(size=(68, 3)) * [0.5, 0.6, 0.4]
    U = {
        axis: COSINES[:, 0] * np.cos(np.radians(grid)[:, None] * COSINES[:, 1] + COSINES[:, 2]) + COSINES[:, 3]
        for axis, grid in zip(("yaw", "pitch", "roll"), GRIDS_DEG, strict=True)
    }
    mesh = np.stack(np.meshgrid(*GRIDS_DEG, indexing="ij"), -1).reshape(-1, 3)
    signs = np.array([-1.0 if axis in mirrored else 1.0 for axis in ("yaw", "pitch", "roll")])
    R = matrix_from_angles(np.radians(mesh * signs), "aflw2000")
    x = original_normalised(np.einsum("cij,pmj->pcmi", R, shapes).reshape(-1, 68, 3)).reshape(people, len(R), -1)
    phi = np.einsum("ai,bj,ck->abcijk", *U.values()).reshape(len(R), -1)
    coefficients = np.linalg.lstsq(phi, x.transpose(1, 0, 2).reshape(len(R), -1), rcond=None)[0]
    T = coefficients.reshape(27, people, -1).transpose(1, 0, 2).reshape(people, -1)
    left, s, Vt = np.linalg.svd(T, full_matrices=False)
    W = (s[:5, None] * Vt[:5]).reshape(5, 3, 3, 3, -1)
    curves = {f"optimized_{axis}": COSINES for axis in U}
    arrays = {f"U_{axis}": value for axis, value in U.items()} | {"U_id": left[:, :5]}
    np.savez(folder / "Factor_Matrices.npz", **arrays)
    np.savez(folder / "Trained_data.npz", W=W, CoreTensor=W, **curves)
    return folder / "Factor_Matrices.npz", folder / "Trained_data.npz", shapes


def change(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})


@pytest.mark.parametrize("mirrored", [(), ("yaw",), ("pitch", "roll")])
def test_the_two_files_give_the_pose_of_an_exact_face_whatever_their_signs_of_angles(tmp_path, mirrored):
    factors, trained, shapes = files(tmp_path, mirrored)
    model = load_original(factors, trained)
    R = matrix_from_angles(np.radians([[30.0, -20.0, 10.0], [-45.0, 30.0, -25.0]]), "aflw2000")
    found = infer(model, np.einsum("nij,mj->nmi", R, shapes[3]))
    assert found.converged.all() and found.in_range.all()
    assert np.degrees(so3.geodesic_angle(found.R_local, R)).max() < 0.5


def test_factors_of_another_run_are_explained_by_their_signs(tmp_path):
    factors, trained, _ = files(tmp_path)
    with np.load(factors) as file:
        pitch = file["U_pitch"] * [1.0, -1.0, 1.0]
    change(factors, U_pitch=pitch)
    with pytest.raises(
        HpeError, match=r"curve 2 of pitch has the opposite sign.*signs of singular vectors are arbitrary"
    ):
        load_original(factors, trained)


@pytest.mark.parametrize(
    ("which", "changes", "message"),
    [
        (0, {"U_yaw": None}, "lacks 'U_yaw'"),
        (0, {"U_yaw": np.zeros((9, 3))}, "9 rows but the grid of yaw has 11"),
        (0, {"U_id": np.zeros((12, 4))}, "5 identity directions.*different runs"),
        (0, {"U_roll": np.random.default_rng(0).normal(size=(7, 3))}, "of roll"),
        (1, {"W": np.zeros((5, 3, 3, 3))}, "identity x yaw x pitch x roll"),
        (1, {"W": np.full((5, 3, 3, 3, 204), np.nan)}, "not finite"),
        (1, {"W": np.zeros((5, 3, 3, 3, 204))}, "no finite landmarks"),
        (1, {"optimized_yaw": np.zeros((3, 3))}, "4 columns"),
        (1, {"optimized_yaw": np.array([["a"]])}, "must be numbers"),
    ],
)
def test_files_that_do_not_fit_are_told_by_name(tmp_path, which, changes, message):
    paths = files(tmp_path)
    change(paths[which], **changes)
    with pytest.raises(HpeError, match=message):
        load_original(*paths[:2])


@given(st.data())
def test_damaged_or_odd_files_of_the_original_are_read_or_refused_in_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("original")
    factors, trained, _ = files(folder, people=6)
    path = data.draw(st.sampled_from([factors, trained]))
    if data.draw(st.booleans()):
        whole = path.read_bytes()
        damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
        for position in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=6)):
            if damaged:
                damaged[position] ^= data.draw(st.integers(1, 255))
        path.write_bytes(bytes(damaged))
    else:
        with np.load(path) as file:
            name = data.draw(st.sampled_from(sorted(file.files)))
        shape = data.draw(st.lists(st.integers(0, 12), max_size=5))
        kind = data.draw(st.sampled_from(["f4", "i8", "c16", "U3", "?"]))
        change(path, **{name: np.ones(shape, kind)})
    try:
        load_original(factors, trained)
    except HpeError as error:
        assert "\n" not in str(error)
