import cv2
import numpy as np
import pytest

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.io.shards import LABEL
from training.data import scenes
from training.data.labels import FaceLabel
from training.data.scenes import SceneConfig, SceneMaker, flipped, similarity, transformed

CONFIG = SceneConfig()
# points on the plane of symmetry, so that they are the same points after a flip
POINTS_M = {"centre": FACE_CENTRE_M, "nose": np.array([0, 0.048, -0.024]), "chin": np.array([0, 0.118, 0.012])}
SIZE_PX, DOT_RADIUS = 100.0, 11


def labels_of(R, centre, size, weight=1.0):
    return faces_of(np.array([R]), np.array([centre], float), np.array([size]), np.array([weight], float))


def faces_of(R, centres, sizes, weights):
    std = np.ones(len(sizes))
    return FaceLabel(R_local=R, centre_px=centres, size_px=sizes, rot_std_deg=std, weight=weights)


def seen_at(labels, point_m):
    """Where weak perspective shows a point of the head: centre + size / L * (R_local (point - C))_xy."""
    offset = (labels.R_local @ (point_m - FACE_CENTRE_M))[:, :2]
    return labels.centre_px + labels.size_px[:, None] / REFERENCE_LENGTH_M * offset


class Dots:
    """Stands for a ShardSet: black images with a white dot where one point of the only face is."""

    def __init__(self, point_m, alpha=False):
        rng = np.random.default_rng(22)
        self.items = []
        for _ in range(4):
            R = aflw2000.to_matrix(EulerDeg(*rng.uniform(-40, 40, 3)))
            labels = labels_of(R, rng.uniform(115, 141, 2), SIZE_PX)
            x, y = np.meshgrid(np.arange(256), np.arange(256))
            distance = np.hypot(*(np.stack([x, y], -1) - seen_at(labels, point_m)[0]).transpose(2, 0, 1))
            dot = np.clip(255 * (DOT_RADIUS + 0.5 - distance), 0, 255).astype(np.uint8)
            mask = np.where(distance < 60, 255, 0).astype(np.uint8) if alpha else None
            self.items.append((np.repeat(dot[..., None], 3, -1), labels, mask))

    def __len__(self):
        return len(self.items)

    def read(self, index):
        return self.items[index]


def pasted(dots, seed, parts=1):
    """A part on a black canvas, nothing degraded."""
    maker = SceneMaker(dots, np.ones(len(dots)))
    canvas = np.zeros((CONFIG.height, CONFIG.width, 3), np.uint8)
    rng = np.random.default_rng(seed)
    return maker._paste(rng, canvas, FaceLabel.empty(), parts, may_fill=True)


def centroids(canvas):
    """Centres (N, 2) of the white dots that lie wholly inside the canvas."""
    count, marks, stats, _ = cv2.connectedComponentsWithStats((canvas[..., 0] > 20).astype(np.uint8))
    inner = []
    for i in range(1, count):
        x, y, w, h, _ = stats[i]
        box = slice(y, y + h), slice(x, x + w)
        patch = canvas[box][..., 0] * (marks[box] == i)
        rows, columns = np.indices(patch.shape)
        centre = np.array([x + (patch * columns).sum() / patch.sum(), y + (patch * rows).sum() / patch.sum()])
        if x > 1 and y > 1 and x + w < CONFIG.width - 1 and y + h < CONFIG.height - 1:
            inner.append(centre)
    return np.array(inner).reshape(-1, 2)


@pytest.mark.parametrize("alpha", [False, True], ids=["photo", "render"])
@pytest.mark.parametrize("name", POINTS_M)
def test_a_dot_on_the_face_is_where_the_moved_label_says(name, alpha):
    dots = Dots(POINTS_M[name], alpha)
    checked, errors = 0, []
    for seed in range(40):
        canvas, labels = pasted(dots, seed)
        labels = labels.where(labels.rot_std_deg < 180)  # not the repeats, whose rotation is unknown
        assert len(labels) == 1
        inner = centroids(canvas)
        expected = seen_at(labels, POINTS_M[name])[0]
        room = 1.2 * DOT_RADIUS * labels.size_px[0] / SIZE_PX + 2
        if np.all(expected > room) and np.all(expected < [CONFIG.width - 1 - room, CONFIG.height - 1 - room]):
            errors.append(inner[np.argmin(np.linalg.norm(inner - expected, axis=1))] - expected)
            checked += 1
    assert checked > 15
    assert np.max(np.linalg.norm(errors, axis=1)) < 0.4
    assert np.all(np.abs(np.mean(errors, 0)) < 0.1)


def test_every_face_that_a_reflected_border_shows_has_a_label():
    dots = Dots(POINTS_M["centre"])
    repeats = 0
    for seed in range(80):
        canvas, labels = pasted(dots, seed)
        inner = centroids(canvas)
        for dot in inner:
            assert np.linalg.norm(labels.centre_px - dot, axis=1).min() < 1.0, f"seed {seed}: no label at {dot}"
        repeats += len(inner) > 1
        assert np.count_nonzero(labels.weight) <= 1
    assert repeats > 1


def test_a_face_partly_outside_is_ignored_and_a_face_far_outside_is_gone():
    centres = np.array([[100, 100], [3, 100], [-25, 100], [-31, 100], [319, 128], [160, 290]], float)
    n = len(centres)
    labels = faces_of(np.broadcast_to(np.eye(3), (n, 3, 3)), centres, np.full(n, 60.0), np.ones(n))
    kept = scenes._inside(labels, CONFIG)
    assert kept.centre_px[:, 0].tolist() == [100, 3, -25, 319]
    assert kept.weight.tolist() == [1, 0, 0, 0]


def test_a_face_too_small_to_see_is_ignored():
    assert scenes._inside(labels_of(np.eye(3), [100, 100], 9.0), CONFIG).weight.tolist() == [0]


@pytest.mark.parametrize("columns, weights", [(0, [1.0]), (5, [1.0]), (30, [0.0]), (60, [])])
def test_a_covered_face_is_ignored_and_a_hidden_one_is_gone(columns, weights):
    # the face's square is 55 px wide around x = 100: columns counts how many of them are covered, from the left
    coverage = np.zeros((CONFIG.height, CONFIG.width), np.uint8)
    coverage[:, 73 : 73 + columns] = 255
    labels = scenes._hide_covered(labels_of(np.eye(3), [100, 100], 60.0), coverage)
    assert labels.weight.tolist() == weights


def test_a_later_part_hides_an_earlier_face():
    dots = Dots(POINTS_M["centre"], alpha=False)
    maker = SceneMaker(dots, np.ones(4))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        canvas, labels = np.zeros((256, 320, 3), np.uint8), FaceLabel.empty()
        for _ in range(4):
            canvas, labels = maker._paste(rng, canvas, labels, 4, may_fill=False)
        inner = centroids(canvas)
        for centre, size in zip(labels.centre_px[labels.weight > 0], labels.size_px[labels.weight > 0], strict=True):
            assert np.linalg.norm(inner - centre, axis=1).min() < 0.15 * size, f"seed {seed}: a label without its face"


def test_similarity_turns_clockwise_and_scales_about_a_point():
    M = similarity(2.0, np.pi / 2, np.array([10.0, 20.0]), [50.0, 60.0])
    np.testing.assert_allclose(M @ [10, 20, 1], [50, 60])
    np.testing.assert_allclose(M @ [11, 20, 1], [50, 62])  # right becomes down: clockwise in the image


def test_a_quarter_turn_of_the_image_adds_ninety_degrees_of_roll():
    M = similarity(1.5, np.pi / 2, np.zeros(2), np.zeros(2))
    moved = transformed(labels_of(np.eye(3), [10, 0], 40.0), M, np.pi / 2, 1.5)
    assert aflw2000.from_matrix(moved.R_local[0]).roll == pytest.approx(90.0)
    np.testing.assert_allclose(moved.centre_px, [[0, 15]], atol=1e-12)
    np.testing.assert_allclose(moved.size_px, [60])


def test_a_flip_moves_the_first_column_to_the_last_and_negates_yaw_and_roll():
    R = aflw2000.to_matrix(EulerDeg(yaw=30.0, pitch=10.0, roll=-5.0))
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    mirror, labels, mask = flipped(image, labels_of(R, [0, 1], 40.0), image[..., 0])
    np.testing.assert_array_equal(mirror[:, 3], image[:, 0])
    np.testing.assert_array_equal(mask[:, 3], image[:, 0, 0])
    np.testing.assert_array_equal(labels.centre_px, [[3, 1]])
    angles = aflw2000.from_matrix(labels.R_local[0])
    np.testing.assert_allclose([angles.yaw, angles.pitch, angles.roll], [-30, 10, 5], atol=1e-9)
    again, back, _ = flipped(mirror, labels, None)
    np.testing.assert_array_equal(again, image)
    np.testing.assert_allclose(back.R_local[0], R, atol=1e-15)


def test_a_scene_is_repeated_by_its_seed_alone():
    dots = Dots(POINTS_M["nose"])
    maker = SceneMaker(dots, np.ones(4))

    def draw(seed, global_seed):
        cv2.setRNGSeed(global_seed)
        return maker.scene(np.random.default_rng(seed))

    for seed in range(25):
        (first, labels), (second, same) = draw(seed, 1), draw(seed, 2)
        np.testing.assert_array_equal(first, second, err_msg=f"seed {seed}")
        np.testing.assert_array_equal(labels.centre_px, same.centre_px)


def test_scenes_are_images_with_labels_of_the_right_kind():
    maker = SceneMaker(Dots(POINTS_M["nose"], alpha=True), np.ones(4))
    for seed in range(30):
        canvas, labels = maker.scene(np.random.default_rng(seed))
        assert canvas.shape == (256, 320, 3) and canvas.dtype == np.uint8
        for name in LABEL:
            value = getattr(labels, name)
            assert len(value) == len(labels) and np.all(np.isfinite(value))
        np.testing.assert_allclose(
            labels.R_local @ labels.R_local.transpose(0, 2, 1), [np.eye(3)] * len(labels), atol=1e-9
        )


def test_images_are_drawn_by_their_weights():
    dots = Dots(POINTS_M["nose"])
    drawn = []
    dots.read = lambda index: drawn.append(index) or dots.items[index]
    maker = SceneMaker(dots, np.array([0.0, 3.0, 1.0, 0.0]))
    rng = np.random.default_rng(23)
    for _ in range(400):
        maker._draw(rng)
    assert set(drawn) == {1, 2}
    assert drawn.count(1) / 400 == pytest.approx(0.75, abs=0.06)


def test_the_shards_own_images_are_never_changed():
    dots = Dots(POINTS_M["nose"], alpha=True)
    before = [(image.copy(), mask.copy()) for image, _, mask in dots.items]
    maker = SceneMaker(dots, np.ones(4))
    for seed in range(20):
        maker.scene(np.random.default_rng(seed))
    for (image, mask), (old, old_mask) in zip([(i, m) for i, _, m in dots.items], before, strict=True):
        np.testing.assert_array_equal(image, old)
        np.testing.assert_array_equal(mask, old_mask)
