import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hpe_core.geometry import so3  # noqa: E402
from hpe_core.geometry.euler import EulerDeg, aflw2000  # noqa: E402
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, REFERENCE_POINTS_M  # noqa: E402
from training.losses import head6dof  # noqa: E402
from training.networks.head6dof import Config, cell_centres  # noqa: E402

torch.set_num_threads(1)  # the networks are tiny

CONFIG = Config()
SHAPES = [(CONFIG.height // s, CONFIG.width // s) for s in CONFIG.strides]
STARTS = np.cumsum([0] + [h * w for h, w in SHAPES])


def faces_of(*faces):
    """Label tensors of one image from (x, y, size) or (x, y, size, R) or (x, y, size, R, weight)."""
    full = [(*face, np.eye(3), 1.0)[:5] if len(face) < 4 else (*face, 1.0)[:5] for face in faces]
    return {
        "centre_px": torch.tensor([f[:2] for f in full], dtype=torch.float32).reshape(-1, 2),
        "size_px": torch.tensor([f[2] for f in full], dtype=torch.float32),
        "R_local": torch.tensor(np.array([f[3] for f in full]).reshape(-1, 3, 3), dtype=torch.float32),
        "weight": torch.tensor([f[4] for f in full], dtype=torch.float32),
        "rot_std_deg": torch.ones(len(full)),
    }


def rotation(yaw=0.0, pitch=0.0, roll=0.0):
    return aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=pitch, roll=roll))


def level(index):
    return slice(STARTS[index], STARTS[index + 1])


def perfect_maps(faces_batch, log_std=-3.0):
    """What a network that knows the labels would put out: the inverse of the decoding."""
    maps = [torch.zeros(len(faces_batch), 13, h, w) for h, w in SHAPES]
    for b, faces in enumerate(faces_batch):
        owner, _ = head6dof.assign(faces, CONFIG)
        for k, (stride, base, (_h, w)) in enumerate(zip(CONFIG.strides, CONFIG.level_size_px, SHAPES, strict=True)):
            maps[k][b, 0], maps[k][b, 4], maps[k][b, 8] = -15.0, 1.0, 1.0
            for cell, face in enumerate(owner[level(k)].tolist()):
                if face < 0:
                    continue
                y, x = divmod(cell, w)
                centre = torch.tensor([(x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5])
                R = faces["R_local"][face]
                row = torch.cat(
                    [
                        torch.tensor([15.0]),
                        (faces["centre_px"][face] - centre) / stride,
                        torch.log(faces["size_px"][face] / base)[None],
                        1.7 * R[:, 0],
                        0.6 * R[:, 1],
                        torch.full((3,), log_std),
                    ]
                )
                maps[k][b, :, y, x] = row
    return maps


def cell_at(x, y, stride):
    return (x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5


def test_a_face_of_60_px_on_a_cell_centre_belongs_to_stride_16_only():
    x, y = cell_at(9, 7, 16)
    owner, counts = head6dof.assign(faces_of((x, y, 60.0)), CONFIG)
    owned = np.flatnonzero(owner.numpy() == 0)
    assert np.all((owned >= STARTS[1]) & (owned < STARTS[2]))
    # its own cell; the next ones are 16 px = 0.27 sizes away, beyond 0.22
    assert owned.tolist() == [STARTS[1] + 7 * 20 + 9]
    assert counts[owned].tolist() == [1.0]


def test_a_face_of_200_px_owns_the_cells_within_044_of_its_radius():
    x, y = cell_at(5, 4, 32)
    owner, _ = head6dof.assign(faces_of((x, y, 200.0)), CONFIG)
    owned = np.flatnonzero(owner.numpy() == 0) - STARTS[2]
    # 0.22 * 200 = 44 px: the cell, four neighbours at 32 px; the diagonal ones are 45.3 px away
    assert sorted(owned) == sorted([4 * 10 + 5, 3 * 10 + 5, 5 * 10 + 5, 4 * 10 + 4, 4 * 10 + 6])


def test_far_cells_count_as_background_and_near_ones_are_ignored():
    x, y = cell_at(9, 7, 16)
    _, counts = head6dof.assign(faces_of((x, y, 60.0)), CONFIG)
    middle = counts[level(1)].reshape(16, 20)
    assert middle[7, 8] == middle[7, 10] == middle[6, 9] == 0.0  # 16 px away: under 0.45 * 60
    assert middle[7, 11] == middle[0, 0] == 1.0


def test_an_image_without_faces_is_all_background():
    owner, counts = head6dof.assign(faces_of(), CONFIG)
    assert len(owner) == len(counts) == STARTS[-1]
    assert torch.all(owner == -1) and torch.all(counts == 1)


def test_an_unknown_face_owns_nothing_and_its_surroundings_are_ignored():
    x, y = cell_at(9, 7, 16)
    owner, counts = head6dof.assign(faces_of((x, y, 60.0, np.eye(3), 0.0)), CONFIG)
    assert torch.all(owner == -1)
    assert counts[level(1)].reshape(16, 20)[7, 9] == 0.0
    assert counts[level(1)].reshape(16, 20)[0, 0] == 1.0


def test_a_cell_between_two_faces_belongs_to_the_nearer_in_units_of_size():
    # 10 px from the first (10 / 100) and 8 px from the second (8 / 50)
    owner, _ = head6dof.assign(faces_of((151.5 - 10, 119.5, 100.0), (151.5 + 8, 119.5, 50.0)), CONFIG)
    assert owner[level(1)].reshape(16, 20)[7, 9] == 0


@pytest.mark.parametrize("size", [14.0, 20.0, 36.0, 43.9, 44.0, 60.0, 90.0, 110.0, 111.0, 250.0])
def test_a_face_of_any_size_anywhere_is_owned_by_some_cell(size):
    rng = np.random.default_rng(31)
    places = np.vstack([rng.uniform([0, 0], [319, 255], (20, 2)), [[0, 0], [319, 255], [7.5, 7.5], [15.5, 15.5]]])
    for x, y in places:
        owner, _ = head6dof.assign(faces_of((x, y, size)), CONFIG)
        assert torch.any(owner == 0), f"({x}, {y})"


def test_six_number_rotation_is_the_twin_of_so3():
    sixd = np.random.default_rng(32).normal(size=(100, 6))
    ours = head6dof.matrix_from_sixd(torch.from_numpy(sixd)).numpy()
    np.testing.assert_allclose(ours, so3.matrix_from_sixd(sixd), atol=1e-12)


def test_geodesic_is_the_twin_of_so3():
    vectors = np.random.default_rng(33).uniform(-1.5, 1.5, (100, 3))
    R = so3.matrix_from_rotvec(vectors)
    ours = head6dof.geodesic(torch.from_numpy(R), torch.eye(3, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(ours, np.linalg.norm(vectors, axis=1), atol=1e-6)


BATCH = [
    faces_of((100.0, 80.0, 60.0, rotation(30, 10, -5)), (250.0, 200.0, 20.0, rotation(-70, -20, 15))),
    faces_of(),
    faces_of((160.0, 128.0, 220.0, rotation(5, -30, 40)), (30.0, 30.0, 60.0, rotation(), 0.0)),
]


def test_losses_vanish_when_the_output_equals_the_labels():
    terms = head6dof.loss_terms(perfect_maps(BATCH), BATCH, CONFIG)
    for name in ("score", "centre", "size", "rotation", "points"):
        assert abs(terms[name].item()) < 2e-3, name


def test_a_turn_of_ten_degrees_costs_ten_degrees():
    faces = [faces_of((100.0, 80.0, 60.0, rotation(30, 10, -5)))]
    turned = [faces[0] | {"R_local": faces[0]["R_local"] @ torch.from_numpy(rotation(yaw=10.0)).float()}]
    terms = head6dof.loss_terms(perfect_maps(turned), faces, CONFIG)
    assert np.degrees(terms["rotation"].item()) == pytest.approx(10.0, abs=0.05)
    assert terms["centre"].item() < 1e-5 and terms["size"].item() < 1e-5
    assert terms["points"].item() > 0.01


def test_a_shift_costs_its_share_of_the_faces_size():
    faces = [faces_of((103.0, 84.0, 60.0))]
    maps = perfect_maps(faces)
    for m, stride in zip(maps, CONFIG.strides, strict=True):
        m[:, 1] += 3.0 / stride
    terms = head6dof.loss_terms(maps, faces, CONFIG)
    assert terms["centre"].item() == pytest.approx(3.0 / 60.0, abs=1e-5)
    assert terms["points"].item() == pytest.approx(3.0 / 60.0, abs=1e-5)


def test_point_loss_equals_a_plain_loop():
    faces = [faces_of((100.0, 80.0, 60.0, rotation(30, 10, -5)))]
    wrong_R, wrong_size, shift = rotation(42, -3, 10), 66.0, np.array([2.0, -1.0])
    wrong = [faces[0] | {"R_local": torch.from_numpy(wrong_R).float()[None], "size_px": torch.tensor([wrong_size])}]
    maps = perfect_maps(wrong)
    for m, stride in zip(maps, CONFIG.strides, strict=True):
        m[:, 1:3] += torch.from_numpy(shift / stride).float()[:, None, None]
    R = faces[0]["R_local"][0].double().numpy()
    total = 0.0
    for p in REFERENCE_POINTS_M - FACE_CENTRE_M:
        seen = shift + wrong_size / REFERENCE_LENGTH_M * (wrong_R @ p)[:2]
        true = 60.0 / REFERENCE_LENGTH_M * (R @ p)[:2]
        total += np.abs(seen - true).sum() / 60.0
    terms = head6dof.loss_terms(maps, faces, CONFIG)
    assert terms["points"].item() == pytest.approx(total / len(REFERENCE_POINTS_M), rel=1e-3)


def test_a_missed_and_an_invented_face_cost_but_an_ignored_one_does_not():
    perfect = perfect_maps(BATCH)
    base = head6dof.loss_terms(perfect, BATCH, CONFIG)["score"].item()
    missed = [m.clone() for m in perfect]
    for m in missed:
        m[:, 0] = -15.0
    invented, ignored = [m.clone() for m in perfect], [m.clone() for m in perfect]
    invented[1][1, 0, 3, 3] = 15.0
    ignored[1][2, 0, 1, 1] = 15.0  # at (23.5, 23.5), within the face of weight 0 at (30, 30)
    assert head6dof.loss_terms(missed, BATCH, CONFIG)["score"].item() > base + 1.0
    assert head6dof.loss_terms(invented, BATCH, CONFIG)["score"].item() > base + 0.1
    assert head6dof.loss_terms(ignored, BATCH, CONFIG)["score"].item() == pytest.approx(base)


def test_gradients_are_finite_at_the_exact_answer_and_at_a_half_turn():
    half_turn = [faces | {"R_local": faces["R_local"] @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))} for faces in BATCH]
    for labels in (BATCH, half_turn):
        maps = [m.requires_grad_() for m in perfect_maps(BATCH)]
        sum(head6dof.loss_terms(maps, labels, CONFIG).values()).backward()
        assert all(torch.all(torch.isfinite(m.grad)) for m in maps)


def test_a_batch_without_any_face_still_has_a_loss_with_gradient():
    maps = [torch.zeros(2, 13, h, w, requires_grad=True) for h, w in SHAPES]
    terms = head6dof.loss_terms(maps, [faces_of(), faces_of()], CONFIG)
    sum(terms.values()).backward()
    assert terms["score"] > 0 and torch.all(torch.isfinite(maps[0].grad))


def test_uncertainty_is_least_costly_at_the_true_spread():
    spread = 0.13
    errors = torch.from_numpy(np.random.default_rng(34).normal(0, spread, 20_000)) ** 2
    candidates = torch.linspace(-4, 0, 401, dtype=torch.float64)
    losses = torch.stack([head6dof.scalar_nll(errors, s.expand(len(errors))).mean() for s in candidates])
    assert candidates[losses.argmin()].item() == pytest.approx(np.log(spread), abs=0.02)


def test_rotation_spread_is_that_of_one_axis():
    """An error of sigma about each axis has a mean squared angle of 3 sigma^2; the published std is sigma."""
    faces = [faces_of((100.0, 80.0, 60.0))]
    sigma = np.radians(4.0)
    turned = [faces[0] | {"R_local": torch.from_numpy(so3.matrix_from_rotvec([sigma] * 3)).float()[None]}]
    losses = {
        s: head6dof.loss_terms(perfect_maps(turned, log_std=np.log(np.radians(s))), faces, CONFIG)[
            "rotation_nll"
        ].item()
        for s in (2.0, 3.5, 4.0, 4.5, 7.0)
    }
    assert min(losses, key=losses.get) == 4.0


def test_focal_loss_by_hand():
    logit, target = torch.tensor([0.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 0.0])
    p = 1 / (1 + np.exp(-2.0))
    expected = [0.25 * np.log(2), (1 - p) ** 2 * -np.log(p), p**2 * -np.log(1 - p)]
    np.testing.assert_allclose(head6dof.focal_loss(logit, target).numpy(), expected, rtol=1e-5)


def test_cells_of_the_loss_are_those_of_the_decoding():
    cells, strides, bases = head6dof._cell_table(CONFIG)
    assert len(cells) == STARTS[-1]
    for k, (stride, base, shape) in enumerate(zip(CONFIG.strides, CONFIG.level_size_px, SHAPES, strict=True)):
        torch.testing.assert_close(cells[level(k)], cell_centres(*shape, stride))
        assert torch.all(strides[level(k)] == stride) and torch.all(bases[level(k)] == base)
