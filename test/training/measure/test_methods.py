"""The tables of the crop methods: places, scores, weaknesses by hand, and the page that is made from the numbers."""

import re
import shutil

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg, aflw2000, axis_turn, pan_tilt
from hpe_core.geometry.so3 import geodesic_angle
from training.deploy.model_file import write_card
from training.measure.methods import __main__ as methods
from training.measure.methods import faces, page, weaknesses
from training.measure.methods.cost import parameters_of
from training.measure.methods.scores import (
    ALL,
    EULER,
    GEODESIC,
    REFUSED,
    WITHIN,
    Answers,
    mean_score,
    scores,
)

CROP6DOF = catalogue.WEIGHTS / "crop6dof.onnx"
WHERE = {"date": "2026-11-21", "commit": "abc1234", "hardware": "a CPU"}


def turned(pan, tilt=0.0):
    return pan_tilt.to_matrix(
        EulerDeg(yaw=np.asarray(pan, float), pitch=tilt + 0.0 * np.asarray(pan), roll=0.0 * np.asarray(pan))
    )


def answers(R, R_true):
    return Answers.of(np.asarray(R, float), R_true, np.array([f"p{i}" for i in range(len(R_true))]))


@pytest.fixture
def shards(tmp_path, write_shard):
    """Folders photos and renders of twelve people each, noise instead of faces."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (160, 200, 3)).astype(np.uint8) for _ in range(24)]
    for name, pans in (("photos", np.linspace(-60, 60, 24)), ("renders", np.linspace(-179, 179, 24))):
        found = [
            {"image": i, "centre_px": (60.0 + 2 * i, 80.0), "size_px": 90.0, "R_local": turned(pan)}
            for i, pan in enumerate(pans)
        ]
        found.append({"image": 0, "centre_px": (150.0, 80.0), "size_px": 95.0, "weight": 0.0})
        write_shard(tmp_path / name / "shard_0000.npz", images, found)
    return tmp_path


def test_the_largest_labelled_face_of_an_image_is_taken_and_turned_to_its_place(shards, monkeypatch):
    monkeypatch.setattr(faces, "JITTER_CENTRE", 0.0)
    monkeypatch.setattr(faces, "JITTER_LOG_SIZE", 0.0)
    found = faces.faces_of(shards / "photos", 100)
    assert len(found) == 24 and len({face.person for face in found}) == 24
    pans = sorted(float(pan_tilt.from_matrix(face.R).yaw) for face in found)
    np.testing.assert_allclose(pans, np.linspace(-60, 60, 24), atol=1e-4)  # as labelled, where the place is not shaken


def test_a_shaken_place_turns_the_label_with_its_line_of_sight(shards):
    plain = {face.person: face for face in faces.faces_of(shards / "photos", 100)}
    for face in plain.values():
        pan = np.linspace(-60, 60, 24)[int(face.person[1:])]
        assert 0 < np.degrees(geodesic_angle(face.R, turned(pan))) < 2.0  # 2 % of 90 px at a focal length of 173 px
    again = faces.faces_of(shards / "photos", 100)
    assert all(np.array_equal(face.ray, plain[face.person].ray) for face in again)
    assert {f.person for f in faces.faces_of(shards / "photos", 5)} == {f.person for f in again[:5]}


def test_a_small_face_keeps_its_mean_and_loses_its_pixels():
    crop = np.tile([[0, 255], [255, 0]], (64, 64)).astype(np.uint8)[None, ..., None].repeat(3, -1)
    small = faces.shrunk(crop, 0.28)  # 0.28 m are 56 px where the face of 0.2 m has 40
    assert small.shape == crop.shape and 120 < small.mean() < 135 and small.std() < 0.2 * crop.std()
    assert np.array_equal(faces.shrunk(crop[:, :50, :50], 0.28), crop[:, :50, :50])  # smaller already


def test_a_truth_costs_nothing_and_ten_degrees_cost_ten():
    R_true = turned(np.linspace(-170, 170, 100))
    found = {(s.part, s.metric): s for s in scores("set", answers(R_true, R_true))}
    assert max(s.value for s in found.values()) < 1e-4  # MAEV's arccos has half the digits
    found = {(s.part, s.metric): s for s in scores("set", answers(R_true @ axis_turn(0, np.radians(10.0)), R_true))}
    assert found[ALL, GEODESIC].value == pytest.approx(10.0) and found[ALL, GEODESIC].faces == 100
    within = np.abs(np.linspace(-170, 170, 100)) < 90  # of a head that shows its back pitch and roll are 180
    assert found[WITHIN, EULER].faces == within.sum()
    assert sum(s.faces for (part, _), s in found.items() if part.startswith("pan")) == 100


def test_a_refused_answer_counts_as_the_mean_pose_and_is_counted():
    R_true = turned(np.linspace(-40, 40, 9))
    R = R_true.copy()
    R[0] = np.nan
    found = {(s.part, s.metric): s.value for s in scores("set", answers(R, R_true))}
    assert found[ALL, REFUSED] == pytest.approx(100 / 9)
    assert found[ALL, GEODESIC] == pytest.approx(40.0 / 9)  # the mean of them looks straight ahead


def test_the_linear_mean_shows_in_backs_answered_as_faces():
    R_true = turned(np.tile([-178.0, 178.0], 10))
    linear = list(weaknesses.backs(answers(turned(np.full(20, -1.5)), R_true)))
    circular = list(weaknesses.backs(answers(turned(np.full(20, 180.0)), R_true)))
    assert [s.value for s in linear] == pytest.approx([178.0, 100.0])
    assert [s.value for s in circular] == pytest.approx([2.0, 0.0])
    assert list(weaknesses.backs(answers(turned(np.zeros(20)), turned(np.zeros(20))))) == []


def test_three_degrees_near_90_of_yaw_are_three_in_geodesic_and_many_in_euler_angles():
    zero = np.zeros(12)
    R_true = aflw2000.to_matrix(EulerDeg(yaw=zero + 88.0, pitch=zero, roll=zero))
    found = {s.metric: s.value for s in weaknesses.pole(answers(R_true @ axis_turn(0, np.radians(3.0)), R_true))}
    assert found[GEODESIC] == pytest.approx(3.0) and found[EULER] > 10 * found[GEODESIC]


def test_the_difference_to_sixd_is_paired():
    R_true = turned(np.linspace(-50, 50, 30))
    errors = np.radians(np.linspace(0, 20, 30))
    sixd = answers(R_true @ axis_turn(0, errors), R_true)
    other = answers(R_true @ axis_turn(0, errors + np.radians(2.0)), R_true)
    ((method, score),) = weaknesses.edges({"sixd": sixd, "hopenet": other})
    assert method == "hopenet" and [score.value, score.low, score.high] == pytest.approx([2.0, 2.0, 2.0], abs=1e-6)
    assert list(weaknesses.edges({"hopenet": other})) == []


def row(method, part, metric, value, table=page.SHARED, name="photos"):
    return page.Row(table, method, name, part, metric, value, value - 1, value + 1, 50)


def a_table():
    cost = {"parameters": 529_000, "mb": 1.06, "ms": 2.0, "int8_ms": None, "int8_change_deg": None, "steps": 100}
    rows = [row("sixd", WITHIN, EULER, 4.0), row("hopenet", WITHIN, EULER, 6.0)]
    rows += [row("sixd", "blurred", GEODESIC, 8.0, name="renders"), row("sixd", ALL, GEODESIC, 9.0, name="renders")]
    for method in ("sixd", "hopenet"):
        rows += page.cost_rows(page.SHARED, method, cost | {"int8_note": "why not", "engine": "yes"})
    return rows


def test_the_file_gives_its_rows_back(tmp_path):
    page.write(tmp_path / "m.csv", a_table(), WHERE)
    rows, where = page.read(tmp_path / "m.csv")
    assert rows == a_table() and where == WHERE
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(HpeError, match="is no table of methods"):
        page.read(tmp_path / "other.csv")


def test_places_are_filled_and_all_else_stays(tmp_path):
    text = "# A\n\n<!-- methods: tables -->\nold\n<!-- /methods: tables -->\n\nb\n"
    text += "".join(f"<!-- methods: {name} -->\n<!-- /methods: {name} -->\nc\n" for name in ("sixd", "opnet"))
    found = page.filled(text, a_table(), WHERE)
    assert found.startswith("# A\n\n<!-- methods: tables -->\n") and "old" not in found and found.count("\nc\n") == 2
    lines = found.splitlines()
    assert "| `hopenet` | 50 | 6.0 (5.0 to 7.0) | – | – | – |" in lines  # noqa: RUF001
    assert lines.index(next(line for line in lines if "`hopenet`" in line)) < lines.index(
        next(line for line in lines if "| `sixd`" in line)
    )
    assert "| `sixd` | 0.53 | 1.06 | 2.0 | – (why not) | – | yes | 100 |" in lines  # noqa: RUF001
    assert "Shared trunk, 0.53 M parameters: Euler MAE 4.0 (3.0 to 5.0) on `photos`, " in found
    assert page.NOT_YET in found
    assert page.filled(found, a_table(), WHERE) == found


def test_a_document_without_the_place_is_refused(tmp_path):
    page.write(tmp_path / "m.csv", a_table(), WHERE)
    (tmp_path / "page.md").write_text("# A\n")
    with pytest.raises(HpeError, match="has no place"):
        page.fill(tmp_path / "page.md", tmp_path / "m.csv")


def test_models_are_told_apart_by_their_cards_and_what_is_none_is_refused(tmp_path):
    for name, config in (("a", {"trunk": "shared"}), ("b", {"trunk": "own"}), ("c", {"decode": "published"})):
        shutil.copy(CROP6DOF, tmp_path / f"{name}.onnx")
        write_card(tmp_path / f"{name}.onnx", card_of(CROP6DOF) | {"name": "whenet", "config": config})
    found = methods.models_of([tmp_path])
    assert sorted((m.path.stem, m.table, m.published) for m in found) == [
        ("a", "shared", False),
        ("b", "own", False),
        ("c", "shared", True),
    ]
    shutil.copy(tmp_path / "a.onnx", tmp_path / "d.onnx")
    with pytest.raises(HpeError, match="are both whenet on its shared trunk"):
        methods.models_of([tmp_path])
    with pytest.raises(HpeError, match="must take face crops"):
        methods.models_of([catalogue.WEIGHTS / "head6dof.onnx"])
    with pytest.raises(HpeError, match="no exported model in"):
        (tmp_path / "none").mkdir()
        methods.models_of([tmp_path / "none"])


def card_of(path):
    from hpe_core.backends import create

    return create("onnxruntime", path, threads=1).card.raw


def test_one_command_measures_and_fills_the_page(shards, capsys):
    (shards / "page.md").write_text("<!-- methods: tables -->\n<!-- /methods: tables -->\n")
    options = ["--models", str(CROP6DOF), "--photos", str(shards / "photos"), "--renders", str(shards / "renders")]
    options += ["--faces", "20", "--out", str(shards / "m.csv"), "--page", str(shards / "page.md")]
    assert methods.main(options) == 0
    rows, _ = page.read(shards / "m.csv")
    known = {(r.set, r.part, r.metric): r for r in rows if r.table == page.SHARED}
    assert known["renders", ALL, GEODESIC].faces == known["photos", ALL, GEODESIC].faces == 20
    assert known["cost", "", "parameters"].value == parameters_of(CROP6DOF) > 1e6
    assert known["cost", "", "ms"].value > 0 and known["cost", "", "int8_ms"].value > 0  # the INT8 file beside it
    assert re.match("yes|no: |skipped: tensorrt_rtx is not installed", known["cost", "", "engine"].note)
    assert {"40 px faces", "blurred"} <= {r.part for r in rows}
    assert "| `crop6dof` | 20 |" in (shards / "page.md").read_text()
    assert methods.main([*options[:2], *options[2:4], "--renders", str(shards / "nothing"), *options[6:]]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("methods: error: no shard")


def test_an_interval_over_people_is_that_of_one_image_each():
    R_true = turned(np.linspace(-50, 50, 40))
    R = R_true @ axis_turn(0, np.radians(np.linspace(0, 20, 40)))
    one = mean_score("set", ALL, GEODESIC, answers(R, R_true))
    four = Answers.of(np.repeat(R, 4, 0), np.repeat(R_true, 4, 0), np.repeat([f"p{i:02d}" for i in range(40)], 4))
    found = mean_score("set", ALL, GEODESIC, four)
    assert [found.low, found.high] == pytest.approx([one.low, one.high], abs=0.3) and found.faces == 160
    assert found.high - found.low > 2.5  # 40 independent errors, spread over 20 degrees; as 160 it would be 1.8
