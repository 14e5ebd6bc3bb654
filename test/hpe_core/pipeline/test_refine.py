import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.candidates import Candidates
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.geometry.lookat import local_from_global, lookat_rotation, rectifying_homography
from hpe_core.network_card import card_of
from hpe_core.networks.crop.crop6dof import (
    CONFIRMED_CENTRE_STD_M,
    DOUBTFUL_CENTRE_STD_M,
    covariance_from_factor,
    mirror_of_rows,
)
from hpe_core.networks.network import crop_network
from hpe_core.pipeline.poses import faces_from_candidates
from hpe_core.pipeline.refine import MIRRORED_UP_TO, Refiner
from hpe_core.pixels.canvas import SourceImage, face_centred_crop
from hpe_core.rotations.fusing import FusedRotation, fuse_rotations
from hpe_core.rotations.landmarks import LandmarkRotation
from hpe_core.rotations.source import CropRotation

K = [[1100.0, 0, 650], [0, 1090.0, 350], [0, 0, 1]]
PINHOLE = CameraModel(1280, 720, K)
LENS = CameraModel(1280, 720, K, [-0.28, 0.09, 1e-3, -5e-4, -0.01])
SIDE, CROP_M = 128, 0.28
COLUMNS = {
    "sixd": [0, 6],
    "precision_factor": [6, 12],
    "centre_m": [12, 14],
    "log_size": [14, 15],
    "log_centre_std_m": [15, 16],
    "log_size_std": [16, 17],
    "landmarks_m": [17, 221],
    "visibility": [221, 289],
}
STD_RAD, P = 0.05, np.diag([0.01, 0.02, 0.03])
R_TRUE, T_TRUE = aflw2000.to_matrix(EulerDeg(yaw=30.0, pitch=-10.0, roll=5.0)), np.array([0.35, -0.2, 1.1])


def candidate(camera, R, t, turn=None, std=STD_RAD):
    """One candidate of the whole-image network whose rotation is off by `turn` (3, 3) from the left."""
    centre = R @ FACE_CENTRE_M + t
    R_local, _, _ = local_from_global(R, centre)
    return Candidates(
        score=np.array([0.9]),
        centre_px=camera.project(centre)[None],
        size_px=np.array([REFERENCE_LENGTH_M * pixels_per_metre(camera, centre)]),
        R_local=(R_local if turn is None else turn @ R_local)[None],
        rotation_covariance=std**2 * np.eye(3)[None],
        size_rel_std=np.array([0.04]),
        centre_rel_std=np.array([0.02]),
    )


class FixedCrops:
    """A backend that says the same row about every crop."""

    input_shape = ("batch", SIDE, SIDE, 3)
    samples = staticmethod(lambda image_shape: False)

    def __init__(self, calibration=None, std_rad=STD_RAD, **values):
        spec = {"columns": COLUMNS, "crop_m": CROP_M}
        card = {"name": "fixed", "estimator": "crop6dof", "spec": spec, "calibration": calibration or {}}
        self.card = card_of(card, self.input_shape, "card")
        self.row, self.seen = np.zeros(289), None
        self.row[0] = self.row[4] = 1.0
        self.row[6:9], self.row[15:17] = -np.log(std_rad), np.log([0.003, 0.03])
        for name, value in values.items():
            self.row[slice(*COLUMNS[name])] = np.ravel(value)

    def run(self, crops):
        self.seen = crops
        return np.tile(self.row, (len(crops), 1)).astype(np.float32)


class Noted(CropRotation):
    """A RotationSource that notes which crops were read upside down, before another one."""

    def __init__(self, source):
        self.source, self.upside_down = source, None

    def rotated(self, seen, upside_down, found):
        self.upside_down = upside_down.tolist()
        return self.source.rotated(seen, upside_down, found)


class Solver:
    """Rotations of landmarks by a function, which counts nothing."""

    def __init__(self, solve):
        self.solve = solve

    def __call__(self, points_m, visible):
        return self.solve(points_m, visible)

    def take_counts(self):
        return {}


def refine(network, found, image, camera, rotation=None, passes=1, mirrored_up_to=0):
    """Candidates found by the whole-image network after refinement, by default without mirrored crops."""
    refiner = Refiner(crop_network(network), rotation or CropRotation(), mirrored_up_to)
    return refiner.refine(found, SourceImage(image), camera, found, passes)


def as_shown(points):
    """A rotation (1, 3, 3) that depends on landmarks (1, 68, 3), so that it tells which way up they came."""
    return so3.matrix_from_rotvec(0.3 * points[0, 0] / np.linalg.norm(points[0, 0]))[None]


def black(camera):
    return np.zeros((camera.height, camera.width, 3), np.uint8)


@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "plumb_bob"])
@pytest.mark.parametrize("metres", [(0.0, 0.0, 0.0), (0.05, -0.03, 0.0), (-0.12, 0.1, 0.02)])
def test_a_point_lands_where_the_look_at_camera_sees_it(camera, metres):
    ray, range_m = camera.rays([300.0, 520.0]), 0.8
    point = range_m * ray + np.array(metres) @ lookat_rotation(ray)
    x, y = camera.project(point)
    image = black(camera)
    yy, xx = np.mgrid[: camera.height, : camera.width]
    image[..., 1] = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 2 / 6.0**2)
    crop = face_centred_crop(image, camera, ray, range_m, SIDE, CROP_M)[..., 1].astype(float)
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    expected = np.array(metres[:2]) / (range_m + metres[2]) * range_m * SIDE / CROP_M + (SIDE - 1) / 2
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_the_crop_is_the_one_of_the_exact_homography():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (36, 64, 3)).astype(np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    ray, range_m = PINHOLE.rays([900.0, 250.0]), 2.0
    H = rectifying_homography(PINHOLE, ray, SIDE / CROP_M * range_m, SIDE)
    plain = cv2.warpPerspective(image, H, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    ours = face_centred_crop(image, PINHOLE, ray, range_m, SIDE, CROP_M)
    assert np.abs(ours.astype(int) - plain).max() <= 6  # OpenCV rounds positions to 1/32 px


def test_a_crop_beyond_the_image_repeats_its_border():
    image = np.full((720, 1280, 3), 90, np.uint8)
    crop = face_centred_crop(image, PINHOLE, PINHOLE.rays([2.0, 3.0]), 0.3, SIDE, CROP_M)
    assert crop.shape == (SIDE, SIDE, 3) and (crop == 90).all()


@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "plumb_bob"])
def test_a_perfect_row_keeps_a_perfect_candidate(camera):
    found = candidate(camera, R_TRUE, T_TRUE)
    R_local = found.R_local[0]
    network = FixedCrops(sixd=np.concatenate([R_local[:, 0], R_local[:, 1]]))
    refined = refine(network, found, black(camera), camera)
    (face,) = faces_from_candidates(refined, camera)
    assert so3.geodesic_angle(face.pose.R_camera_head, R_TRUE) < 1e-6
    np.testing.assert_allclose(face.pose.t_camera_head_m, T_TRUE, atol=1e-5)
    assert network.seen.shape == (1, SIDE, SIDE, 3)


def test_place_and_size_corrections_move_the_face_in_metres():
    found = candidate(PINHOLE, R_TRUE, T_TRUE)
    R_local = found.R_local[0]
    sixd = np.concatenate([R_local[:, 0], R_local[:, 1]])
    network = FixedCrops(sixd=sixd, centre_m=[0.02, -0.01], log_size=np.log(1.1))
    refined = refine(network, found, black(PINHOLE), PINHOLE)
    centre = R_TRUE @ FACE_CENTRE_M + T_TRUE
    range_m = np.linalg.norm(centre)
    moved = centre + np.array([0.02, -0.01, 0.0]) @ lookat_rotation(centre / range_m)
    expected = moved / np.linalg.norm(moved) * range_m / 1.1  # a tenth larger is a tenth nearer
    rays = PINHOLE.rays(refined.centre_px[0])
    f_px = REFERENCE_LENGTH_M * pixels_per_metre(PINHOLE, rays) / refined.size_px[0]
    np.testing.assert_allclose(f_px * rays, expected, atol=1e-6)


class Counting(FixedCrops):
    """Notes how many crops it sees at once."""

    views = ()

    def run(self, crops):
        self.views = (*self.views, len(crops))
        return super().run(crops)


def test_each_pass_places_the_next_crop_and_only_the_last_two_are_mirrored():
    found = candidate(PINHOLE, R_TRUE, T_TRUE)
    pixels_per_m = found.size_px[0] / REFERENCE_LENGTH_M
    lower = Counting(centre_m=[0.0, 0.045])  # always 45 mm lower: a mirrored crop says the same
    for passes in (1, 3):
        moved = (
            refine(lower, found, black(PINHOLE), PINHOLE, passes=passes, mirrored_up_to=3).centre_px - found.centre_px
        )
        np.testing.assert_allclose(moved, [[0.0, passes * 0.045 * pixels_per_m]], atol=5.0)  # 44 px a pass
    assert lower.views == (2, 1, 2, 2)


@pytest.mark.parametrize(
    "values, views",
    [
        ({"log_centre_std_m": np.log(0.0039), "centre_m": [0.0, 0.035]}, (2,)),  # sure, near where it was expected
        ({"log_centre_std_m": np.log(0.0065)}, (2, 2, 2, 2)),  # unsure, both ways up
        ({"log_centre_std_m": np.log(0.003), "centre_m": [0.0, 0.045]}, (2, 2)),  # almost a quarter of its size lower
        ({"log_centre_std_m": np.log(0.003), "log_size": 0.3}, (2, 2)),
        ({"log_centre_std_m": np.log(0.02)}, (2, 2)),  # no face, both ways up
    ],
)
def test_another_crop_is_cut_only_where_the_first_one_has_not_settled_what_is_there(values, views):
    network = Counting(**values)
    refine(network, candidate(PINHOLE, R_TRUE, T_TRUE), black(PINHOLE), PINHOLE, passes=2, mirrored_up_to=3)
    assert network.views == views


def test_of_several_faces_only_the_unsettled_ones_get_another_crop_and_all_keep_their_order():
    class ByTurns(FixedCrops):
        views = ()

        def run(self, crops):
            self.views = (*self.views, len(crops))
            rows = super().run(crops)
            if len(crops) == 3:  # the second face is a third larger than its crop was cut for
                rows[1, 14] = 0.3
            return rows

    one = candidate(PINHOLE, R_TRUE, T_TRUE)
    three = one.concat(one).concat(one)
    network = ByTurns()
    seen = refine(network, three, black(PINHOLE), PINHOLE, passes=2)
    assert network.views == (3, 1)
    np.testing.assert_allclose(seen.size_px / one.size_px, [1.0, np.exp(0.3), 1.0], rtol=1e-6)


BARREL = CameraModel(640, 480, [[260.0, 0, 320], [0, 260.0, 240], [0, 0, 1]], [-0.3, 0.08, 0, 0, -0.01])


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_a_crop_that_places_the_face_beyond_the_lens_gives_no_centre_and_no_next_crop(passes):
    centre = 0.8 * BARREL.rays([560.0, 240.0])  # 240 of the 247.7 px where the rays end, 55 degrees off the axis
    found = candidate(BARREL, np.eye(3), centre - FACE_CENTRE_M)
    outward = refine(FixedCrops(centre_m=[0.12, 0.0]), found, black(BARREL), BARREL, passes=passes)
    assert np.isnan(outward.centre_px).all()
    inward = refine(FixedCrops(centre_m=[-0.12, 0.0]), found, black(BARREL), BARREL, passes=passes)
    assert np.isfinite(inward.centre_px).all() and inward.centre_px[0, 0] < 560.0


def test_landmarks_are_told_from_the_true_centre_on_a_head_of_reference_size():
    points = np.zeros((68, 3))
    points[30] = [0.03, 0.01, -0.05]
    network = FixedCrops(landmarks_m=points, centre_m=[0.01, 0.0], log_size=np.log(2.0), visibility=np.full(68, 50.0))
    refined = refine(network, candidate(PINHOLE, R_TRUE, T_TRUE), black(PINHOLE), PINHOLE)
    (face,) = faces_from_candidates(refined, PINHOLE)
    np.testing.assert_allclose(face.landmarks.points_local_m[30], [0.01, 0.005, -0.025], atol=1e-7)
    np.testing.assert_allclose(face.landmarks.visible, 1.0)


def test_equal_estimates_fuse_to_the_middle_and_the_surer_one_pulls():
    turn = so3.matrix_from_rotvec([0.0, 0.2, 0.0])[None]
    P = 0.01 * np.eye(3)[None]
    R, covariance = fuse_rotations(turn, P, np.eye(3)[None], P)
    np.testing.assert_allclose(so3.rotvec_from_matrix(R), [[0.0, 0.1, 0.0]], atol=1e-12)
    np.testing.assert_allclose(covariance, P / 2)
    R, _ = fuse_rotations(turn, P, np.eye(3)[None], P / 3)
    np.testing.assert_allclose(so3.rotvec_from_matrix(R), [[0.0, 0.05, 0.0]], atol=1e-12)


def test_estimates_with_the_same_error_gain_nothing_by_fusion():
    P = np.array([[[0.04, 0.01, 0.0], [0.01, 0.02, 0.0], [0.0, 0.0, 0.03]]])
    _, covariance = fuse_rotations(np.eye(3)[None], P, np.eye(3)[None], P, correlation=0.9999)
    np.testing.assert_allclose(covariance, P, rtol=1e-4)


def test_one_that_errs_twice_as_much_and_half_alike_adds_nothing():
    turn = so3.matrix_from_rotvec([0.1, 0.2, 0.0])[None]
    P = 0.01 * np.eye(3)[None]  # weight of the first: (4 - 1) / (1 + 4 - 2) = 1
    R, covariance = fuse_rotations(turn, P, np.eye(3)[None], 4 * P, correlation=0.5)
    np.testing.assert_allclose(R, turn, atol=1e-12)
    np.testing.assert_allclose(covariance, P, rtol=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_fusion_is_the_best_linear_estimate_of_two_that_err_along_different_axes(correlation):
    def root(P):
        values, vectors = np.linalg.eigh(P)
        return vectors @ np.diag(np.sqrt(values)) @ vectors.T

    Q = Rotation.from_rotvec([0.4, -0.7, 0.9]).as_matrix()
    P_a, P_b = np.diag([4e-4, 1e-4, 2e-4]), Q @ np.diag([1e-4, 9e-4, 3e-4]) @ Q.T
    C = correlation * root(P_a) @ root(P_b)
    joint, both = np.linalg.inv(np.block([[P_a, C], [C.T, P_b]])), np.vstack([np.eye(3)] * 2)
    covariance = np.linalg.inv(both.T @ joint @ both)  # generalised least squares, x = a and x = b
    a, b = np.array([1e-4, -2e-4, 3e-4]), np.array([-2e-4, 1e-4, 1e-4])
    expected = covariance @ both.T @ joint @ np.concatenate([a, b])
    turns = so3.matrix_from_rotvec([a]), so3.matrix_from_rotvec([b])
    R, P = fuse_rotations(turns[0], P_a[None], turns[1], P_b[None], correlation)
    np.testing.assert_allclose(P[0], covariance, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(so3.rotvec_from_matrix(R)[0], expected, atol=1e-7)


def test_covariance_is_the_inverse_of_the_information():
    factor = np.array([[np.log(20.0), np.log(10.0), np.log(15.0), 3.0, -2.0, 1.0]])
    L = np.array([[20.0, 0, 0], [3.0, 10.0, 0], [-2.0, 1.0, 15.0]])
    np.testing.assert_allclose(covariance_from_factor(factor)[0], np.linalg.inv(L @ L.T), rtol=1e-9)


def test_no_rotation_is_surer_than_a_thousandth_of_a_radian_or_less_sure_than_seven():
    for log_information, std_rad in ((9.0, np.exp(-7.0)), (-5.0, np.exp(2.0))):
        factor = np.array([[log_information] * 3 + [0.0] * 3])
        np.testing.assert_allclose(covariance_from_factor(factor)[0], std_rad**2 * np.eye(3))


def test_calibration_of_the_card_scales_the_covariance():
    found, image = candidate(PINHOLE, R_TRUE, T_TRUE), black(PINHOLE)
    plain = refine(FixedCrops(), found, image, PINHOLE)
    wider = refine(FixedCrops({"rotation_std": 2.0, "size_std": 3.0}), found, image, PINHOLE)
    np.testing.assert_allclose(wider.rotation_covariance, 4.0 * plain.rotation_covariance)
    np.testing.assert_allclose(wider.size_rel_std, 3.0 * plain.size_rel_std)


def test_a_rotation_from_landmarks_is_as_uncertain_as_they_and_the_image_are():
    R, P = Rotation.random(1, random_state=0).as_matrix(), 0.02 * np.eye(3)[None]
    seen = []

    def from_landmarks(points, visible):
        seen.append((points.shape, visible.shape))
        return R, P

    refined = refine(
        FixedCrops(),
        candidate(PINHOLE, R_TRUE, T_TRUE),
        black(PINHOLE),
        PINHOLE,
        LandmarkRotation(Solver(from_landmarks)),
    )
    np.testing.assert_array_equal(refined.R_local, R)
    np.testing.assert_allclose(refined.rotation_covariance, P + STD_RAD**2 * np.eye(3))
    assert seen == [((1, 68, 3), (1, 68))]


def test_no_candidate_asks_no_network_and_an_output_that_is_not_finite_is_an_error():
    network = FixedCrops()
    assert len(refine(network, Candidates.empty(), black(PINHOLE), PINHOLE)) == 0 and network.seen is None
    network.row[20] = np.nan
    with pytest.raises(HpeError, match="not finite"):
        refine(network, candidate(PINHOLE, R_TRUE, T_TRUE), black(PINHOLE), PINHOLE)


@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "plumb_bob"])
def test_landmarks_project_to_the_pixels_of_the_crop_that_they_were_read_from(camera):
    points = np.zeros((68, 3))
    points[8] = [0.06, 0.04, 0.08]
    network = FixedCrops(landmarks_m=points)
    refined = refine(network, candidate(camera, R_TRUE, T_TRUE), black(camera), camera)
    (face,) = faces_from_candidates(refined, camera)
    centre = face.pose.R_camera_head @ FACE_CENTRE_M + face.pose.t_camera_head_m
    seen = centre + np.array([0.06, 0.04, 0.0]) @ lookat_rotation(centre / np.linalg.norm(centre))
    np.testing.assert_allclose(camera.project(face.landmarks_camera_m[8]), camera.project(seen), atol=1e-3)


def random_row(rng):
    """A row of the network (289,) and what it says: R_local, covariance, centre, landmarks, visibility."""
    row = rng.normal(size=289)
    R = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
    row[:6] = R.T[:2].ravel()  # the first two columns, one after the other
    return row, R, covariance_from_factor(row[None, 6:12])[0], row[12:14], row[17:221].reshape(68, 3), row[221:]


def test_the_mirrored_row_says_what_a_mirror_shows():
    row, R, P, centre, landmarks, visible = random_row(np.random.default_rng(3))
    index, sign = mirror_of_rows({name: slice(*span) for name, span in COLUMNS.items()}, 289)
    mirrored = sign * row[index]
    M = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(so3.matrix_from_sixd(mirrored[:6]), M @ R @ M, atol=1e-12)
    np.testing.assert_allclose(covariance_from_factor(mirrored[None, 6:12])[0], M @ P @ M, rtol=1e-9)
    np.testing.assert_array_equal(mirrored[12:14], centre * [-1, 1])
    np.testing.assert_array_equal(mirrored[14:17], row[14:17])
    np.testing.assert_array_equal(mirrored[17:221].reshape(68, 3), (landmarks @ M)[FLIP_68])
    np.testing.assert_array_equal(mirrored[221:], visible[FLIP_68])
    np.testing.assert_array_equal(sign * mirrored[index], row)


class TurnedByTheRight(FixedCrops):
    """Says `row` about crops that are brighter on the right, else its mirror; all yaws are 10 degrees off."""

    def run(self, crops):
        self.seen = crops
        index, sign = mirror_of_rows({name: slice(*span) for name, span in COLUMNS.items()}, 289)
        bright_right = crops[:, :, SIDE // 2 :].mean((1, 2, 3)) > crops[:, :, : SIDE // 2].mean((1, 2, 3))
        off = aflw2000.to_matrix(EulerDeg(10.0, 0.0, 0.0))  # both views err to the same side of the image
        rows = np.where(bright_right[:, None], self.row, sign * self.row[index])
        for row in rows:
            row[:6] = (off @ so3.matrix_from_sixd(row[:6])).T[:2].ravel()
        return rows.astype(np.float32)


@pytest.mark.parametrize("faces, views", [(1, 2), (MIRRORED_UP_TO, 2), (MIRRORED_UP_TO + 1, 1)])
def test_few_crops_are_augmented_by_mirroring_and_an_error_to_one_side_cancels(faces, views):
    image = np.tile(np.linspace(0, 255, PINHOLE.width).astype(np.uint8)[None, :, None], (PINHOLE.height, 1, 3))
    one = candidate(PINHOLE, R_TRUE, T_TRUE)
    network = TurnedByTheRight(sixd=one.R_local[0].T[:2])
    found = one.where(np.zeros(faces, int))
    refined = refine(network, found, image, PINHOLE, mirrored_up_to=MIRRORED_UP_TO)
    assert len(network.seen) == views * faces
    error_deg = np.degrees(so3.geodesic_angle(refined.R_local, one.R_local))
    np.testing.assert_allclose(error_deg, 0.0 if views == 2 else 10.0, atol=0.2)


class KnowsUpright(FixedCrops):
    """Says `row` with std_m about crops that are brighter above, the like with other_std_m about the others."""

    def __init__(self, std_m, other_std_m, **values):
        super().__init__(**values)
        self.stds_m, self.calls = (std_m, other_std_m), 0

    def run(self, crops):
        self.calls += 1
        rows = super().run(crops)
        above = crops[:, : SIDE // 2].mean((1, 2, 3)) > crops[:, SIDE // 2 :].mean((1, 2, 3))
        rows[:, COLUMNS["log_centre_std_m"][0]] = np.log(np.where(above, *self.stds_m))
        return rows


def brighter(above):
    rows = np.linspace(255, 0, PINHOLE.height) if above else np.linspace(0, 255, PINHOLE.height)
    return np.tile(rows.astype(np.uint8)[:, None, None], (1, PINHOLE.width, 3))


SURE, UNSURE = 0.9 * CONFIRMED_CENTRE_STD_M, 1.5 * CONFIRMED_CENTRE_STD_M


@pytest.mark.parametrize(
    "std_m, other_std_m, sure, upside_down",
    [
        (0.9 * DOUBTFUL_CENTRE_STD_M, 0.1 * SURE, True, False),  # without a doubt there is no second call
        (SURE, UNSURE, True, False),
        (UNSURE, SURE, True, True),
        (1.1 * CONFIRMED_CENTRE_STD_M, UNSURE, False, False),  # neither way shows a face
        (SURE, SURE, False, False),  # both ways do: it lies on its side
    ],
)
def test_a_doubtful_crop_shows_a_face_where_one_way_up_is_sure_and_clearly_surer_than_the_other(
    std_m, other_std_m, sure, upside_down
):
    network, rotation = KnowsUpright(std_m, other_std_m), Noted(CropRotation())
    refined = refine(network, candidate(PINHOLE, R_TRUE, T_TRUE), brighter(above=True), PINHOLE, rotation)
    assert (refined.confirmed.tolist(), rotation.upside_down) == ([sure], [upside_down])
    assert network.calls == (1 if std_m < DOUBTFUL_CENTRE_STD_M else 2)
    assert faces_from_candidates(refined, PINHOLE)[0].confirmed is sure


def test_a_face_is_no_less_a_face_without_a_crop_network_but_nobody_confirms_it():
    assert faces_from_candidates(candidate(PINHOLE, R_TRUE, T_TRUE), PINHOLE)[0].confirmed is None


@pytest.mark.parametrize(
    "rotation",
    [
        CropRotation(),
        FusedRotation(0.0),
        LandmarkRotation(Solver(lambda points, visible: (as_shown(points), np.tile(P, (1, 1, 1))))),
    ],
    ids=["crop", "fused", "landmarks"],
)
def test_a_face_on_its_head_gets_the_pose_of_the_crop_turned_by_half(rotation):
    rng = np.random.default_rng(0)
    landmarks, centre_m = rng.normal(size=(68, 3)) * 0.05, np.array([0.01, -0.02])
    shown = so3.matrix_from_rotvec([0.2, -0.4, 0.1])
    said = {"sixd": shown[:, :2].T, "landmarks_m": landmarks, "centre_m": centre_m}
    said |= {"precision_factor": [3.0, 2.5, 2.0, 0.4, -0.3, 0.2]}
    found, Z = candidate(PINHOLE, R_TRUE, T_TRUE), np.diag([-1.0, -1.0, 1.0])
    noted = Noted(rotation)
    right = refine(KnowsUpright(SURE, UNSURE, **said), found, brighter(True), PINHOLE, noted)
    assert noted.upside_down == [False]
    turned = refine(KnowsUpright(SURE, UNSURE, **said), found, brighter(False), PINHOLE, noted)
    assert noted.upside_down == [True]
    np.testing.assert_allclose(turned.landmarks_m, right.landmarks_m @ Z, atol=1e-6)
    before = found.centre_px
    np.testing.assert_allclose(turned.centre_px - before, before - right.centre_px, atol=1.0)  # perspective
    if not isinstance(rotation, FusedRotation):  # what the first network says of it is of a face that stands upright
        np.testing.assert_allclose(turned.R_local, Z @ right.R_local, atol=1e-6)
        np.testing.assert_allclose(turned.rotation_covariance, Z @ right.rotation_covariance @ Z, rtol=1e-4)
    else:
        np.testing.assert_allclose(turned.R_local[0], Z @ shown, atol=1e-6)
