import numpy as np

from hpe_core.candidates import Candidates, Places


def candidates(*scores, **more):
    n = len(scores)
    one = Candidates.empty()
    values = {
        name: np.zeros((n, *getattr(one, name).shape[1:])) for name in vars(one) if getattr(one, name) is not None
    }
    return Candidates(**(values | {"score": np.array(scores)} | more))


def test_rows_are_taken_by_mask_indices_or_slice_from_all_fields():
    found = candidates(0.9, 0.8, 0.7, landmarks_m=np.arange(3.0)[:, None, None] * np.ones((1, 68, 3)))
    for rows, expected in ((np.array([True, False, True]), [0.9, 0.7]), ([2, 0], [0.7, 0.9]), (slice(1), [0.9])):
        taken = found.where(rows)
        assert taken.score.tolist() == expected and len(taken.centre_px) == len(expected)
        np.testing.assert_allclose(taken.landmarks_m[:, 0, 0], [[0.9, 0.8, 0.7].index(score) for score in expected])
        assert taken.confirmed is None


def test_joined_candidates_keep_their_order_and_an_empty_side_leaves_the_other_as_it_is():
    first, second = candidates(0.5, confirmed=np.array([True])), candidates(0.9, 0.8, confirmed=np.zeros(2, bool))
    both = first.concat(second)
    assert both.score.tolist() == [0.5, 0.9, 0.8] and both.confirmed.tolist() == [True, False, False]
    assert first.concat(Candidates.empty()) is first and Candidates.empty().concat(first) is first
    assert len(Candidates.empty().concat(Candidates.empty())) == 0


def test_rows_of_places_are_places():
    places = Places(score=np.array([0.5, 0.6]), centre_px=np.zeros((2, 2)), size_px=np.ones(2))
    assert type(places.where([1])) is Places and places.where([1]).score.tolist() == [0.6]
