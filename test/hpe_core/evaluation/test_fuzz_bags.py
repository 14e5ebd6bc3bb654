"""Whatever a bag holds: numbers and counted losses, or one HpeError; never another exception."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpe_core.errors import HpeError
from hpe_core.evaluation.report.bags import results_of
from hpe_core.evaluation.report.results import results_json
from hpe_core.evaluation.streams.bag_evaluation import Job, evaluate_bag
from hpe_core.evaluation.streams.evaluate import Options, evaluate
from hpe_core.evaluation.streams.series import SeriesBuilder

NUMBER = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e300, 1e-300]))
POSE = st.tuples(
    # stamp, in steps of 33 ms: duplicates are likely, and some are from another age
    st.one_of(st.integers(0, 40), st.sampled_from([-65_000_000_000, 65_000_000_000, 10**9])),
    st.lists(NUMBER, min_size=4, max_size=4),
    st.lists(st.one_of(NUMBER, st.floats(0.5, 1.5)), min_size=3, max_size=3),
    st.sampled_from(["", "face_a", "face_b"]),
    st.one_of(st.none(), st.lists(NUMBER, min_size=36, max_size=36)),
)


def series_of(poses, has_ids):
    builder = SeriesBuilder(has_ids)
    for step, quat, t, face_id, covariance in poses:
        builder.message(step * 33_000_000, step * 33_000_000 + 5_000_000, "camera")
        builder.pose(step * 33_000_000, step * 33_000_000, quat, t, face_id, covariance)
    return builder.build("face")


@given(st.lists(POSE, max_size=25), st.lists(POSE, max_size=25), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=120)
def test_any_poses_in_any_order_are_accounted_for(own, true, own_ids, true_ids, apply_offset):
    estimate, truth = series_of(own, own_ids), series_of(true, true_ids)
    with np.errstate(all="ignore"):
        found = evaluate(estimate, truth, np.zeros(0, np.int64), None, Options(apply_offset=apply_offset))
        alone = evaluate(estimate, None, np.zeros(0, np.int64), None, Options())
    counts = found.summary["detection"]
    assert counts["matched"] + counts["missed"] == counts["ground_truth_heads"]
    assert counts["matched"] + counts["false_positives"] + counts["skipped_poses"] == counts["poses"] == len(estimate)
    refused = sum(v for k, v in estimate.losses.items() if k.startswith("pose"))
    assert len(estimate) + refused == len(own)
    results_json(found.summary)  # finite or null
    results_json(alone.summary)


def test_order_of_messages_in_the_file_does_not_matter(write_bag, synthetic):
    stamps, R, t = synthetic.motion(4)
    entries = [("/truth", s, synthetic.pose_stamped(s, R[i], t[i])) for i, s in enumerate(stamps)]
    entries += [("/est", s, synthetic.pose_stamped(s, R[i], t[i] + 0.01)) for i, s in enumerate(stamps)]
    job = Job(estimates=("/est",), truth="/truth")
    shuffled = [entries[i] for i in np.random.default_rng(0).permutation(len(entries))]
    # the log time is that of the position in the file, so that readers cannot sort it away
    texts = []
    for name, order in (("a", entries), ("b", shuffled)):
        bag = write_bag([(topic, 10**18 + i, m) for i, (topic, _, m) in enumerate(order)], name=name)
        summary = evaluate_bag(bag, job).summary["estimates"]["/est"]
        summary.pop("latency_ms")
        texts.append(results_json(summary))
    assert texts[0] == texts[1]


def test_bad_quaternions_are_counted_by_kind(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(2)
    entries = []
    for i, s in enumerate(stamps):
        entries.append(("/truth", s, synthetic.pose_stamped(s, R[i], t[i])))
        quat = {3: [np.nan, 0, 0, 1], 5: [0, 0, 0, 0], 7: [0.0, 3.0, 0.0, 4.0]}.get(i)
        entries.append(("/est", s, synthetic.pose_stamped(s, R[i], t[i], quat=quat)))
    found = evaluated(write_bag(entries))
    losses = found["stream"]["losses"]
    assert losses == {
        "pose with a number that is not finite": 1,
        "pose with a quaternion of length 0": 1,
        "quaternion not of unit length (used, normalised)": 1,
    }
    assert (found["detection"]["missed"], found["detection"]["matched"]) == (2, 58)


def test_duplicate_stamps_are_counted_and_the_first_is_taken(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(2)
    entries = []
    for i, s in enumerate(stamps):
        entries.append(("/truth", s, synthetic.pose_stamped(s, R[i], t[i])))
        entries.append(("/est", s, synthetic.pose_stamped(s, R[i], t[i])))
        if i % 10 == 0:
            entries.append(("/est", s + 1, synthetic.pose_stamped(s, R[i], t[i] + 1.0)))
    found = evaluated(write_bag(entries))
    assert found["stream"]["losses"] == {"pose with the stamp and id of an earlier one": 6}
    assert found["translation"]["error_mm"]["max"] < 1e-6


def test_poses_in_a_second_frame_are_counted_not_mixed_in(write_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(2)
    entries = []
    for i, s in enumerate(stamps):
        entries.append(("/truth", s, synthetic.pose_stamped(s, R[i], t[i])))
        frame_id = "map" if i % 10 == 0 else "camera"
        entries.append(("/est", s, synthetic.pose_stamped(s, R[i], t[i], frame_id=frame_id)))
    found = evaluated(write_bag(entries))
    assert found["stream"]["losses"] == {"pose in another frame than camera": 6}
    assert (found["detection"]["matched"], found["detection"]["missed"]) == (54, 6)


def test_truth_without_a_message_is_an_error_and_truth_of_another_time_is_counted(pose_bag, synthetic, evaluated):
    stamps, R, t = synthetic.motion(2)
    found = evaluated(pose_bag({"/truth": (stamps - 10**12, R, t), "/est": (stamps, R, t)}))
    assert found["detection"]["skipped"] == {"estimate at a time without truth": 60}
    assert found["rotation"]["geodesic_deg"]["mean"] is None
    with pytest.raises(HpeError, match="no topic /nothing"):
        evaluated(pose_bag({"/est": (stamps, R, t)}, name="alone"), truth="/nothing")


@given(st.floats(0.0, 1.0))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_mcap_is_evaluated_as_far_as_it_goes(cut_file, fraction):
    data, path = cut_file
    path.write_bytes(data[: int(fraction * len(data))])
    try:
        result = evaluate_bag(path, Job(estimates=("/est",), truth="/truth"))
    except HpeError as error:
        assert "\n" not in str(error)
        return
    results_json(results_of([result], Job(estimates=("/est",), truth="/truth"), []))
    losses = result.summary["estimates"]["/est"]["stream"]["losses"]
    assert fraction == 1.0 or losses


@given(st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_overwritten_bytes_anywhere_give_results_or_one_line(cut_file, changes):
    data, path = bytearray(cut_file[0]), cut_file[1]
    for place, value in changes:
        data[int(place * len(data))] = value
    path.write_bytes(data)
    try:
        with np.errstate(all="ignore"):
            result = evaluate_bag(path, Job(estimates=("/est",), truth="/truth"))
    except HpeError as error:
        assert "\n" not in str(error)
        return
    counts = result.summary["estimates"]["/est"]["detection"]
    assert counts["matched"] + counts["false_positives"] + counts["skipped_poses"] == counts["poses"]


@pytest.fixture
def cut_file(pose_bag, synthetic, tmp_path):
    truth = synthetic.motion(3)
    bag = pose_bag({"/truth": truth, "/est": truth}, name="whole")
    return next(bag.glob("*.mcap")).read_bytes(), tmp_path / "cut.mcap"
