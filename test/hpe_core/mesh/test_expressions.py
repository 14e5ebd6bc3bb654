import numpy as np

from hpe_core.mesh.expressions import ACTION_UNITS, action_units, expression_of, named_expressions


def test_every_movement_of_an_action_unit_is_one_of_the_head_model_and_belongs_to_one_unit(model):
    names = [name for names in ACTION_UNITS.values() for name in names]
    assert set(names) <= set(model.expression_names) and len(names) == len(set(names))
    # what has no unit of its own: blinks, which make two units, and movements of the mouth that FACS counts as others
    left = set(model.expression_names) - set(names)
    assert left == {"eyeBlink_L", "eyeBlink_R", "mouthClose", "mouthLeft", "mouthRight"}


def test_a_smile_of_one_side_is_unit_12_and_closed_eyes_are_unit_43(shape_of):
    intensity, told = action_units(shape_of(mouthSmile_L=0.75, mouthSmile_R=0.25, eyeBlink_L=0.9, eyeBlink_R=0.5))
    assert intensity[12] == 0.75 and intensity[43] == 0.5 and np.isclose(intensity[46], 0.4)
    assert intensity[26] == 0.0 and told[26] and not told[81]
    assert intensity.shape == told.shape == (99,)


def test_weights_have_their_names_and_the_id_of_their_face(face_of, shape_of):
    shape = shape_of(jawOpen=0.5)
    assert expression_of(shape)["jawOpen"] == 0.5 and len(expression_of(shape)) == 53
    names, weights = named_expressions([face_of(shape=shape, face_id="face_abcde")])
    assert weights[names.index("face_abcde/jawOpen")] == 0.5 and len(names) == len(weights) == 53
