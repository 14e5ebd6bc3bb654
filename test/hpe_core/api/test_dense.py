import json

import numpy as np
import pytest

from hpe_core import HeadPose, HpeError


@pytest.fixture(scope="module")
def dense(dense_net):
    path = dense_net(np.ones(40), {"jawOpen": 0.5, "mouthSmile_L": 0.25, "mouthSmile_R": 0.25}, [0.1, 0.2, 0.1, 0.2])
    return HeadPose(f"head6dof+{path}")


def test_a_face_has_expression_identity_gaze_and_a_mesh_around_its_landmarks(dense, image):
    (face,) = dense.predict(image)
    assert face.expression["jawOpen"] == pytest.approx(0.5, abs=1e-6) and len(face.expression) == 53
    assert face.identity.shape == (40,) and face.gaze_deg["left_pitch"] == pytest.approx(np.degrees(0.2), abs=1e-3)
    mesh = face.mesh()
    assert mesh.vertices_m.shape == mesh.normals.shape == (len(mesh.vertices_px), 3)
    np.testing.assert_allclose(mesh.vertices_m[mesh.landmark_vertices], face.landmarks_m, atol=1e-5)
    np.testing.assert_allclose(mesh.vertices_px[mesh.landmark_vertices], face.landmarks_px, atol=0.01)
    x0, y0, x1, y1 = face.box
    chin_to_brows = mesh.vertices_px[mesh.landmark_vertices]
    assert (chin_to_brows > [x0 - 20, y0 - 20]).all() and (chin_to_brows < [x1 + 20, y1 + 20]).all()


def test_the_dict_of_a_dense_face_is_ready_for_json(dense, image):
    values = dense.predict(image).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["faces"][0]["expression"]["jawOpen"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_a_mesh_is_saved_by_the_suffix_of_its_name(dense, image, tmp_path, suffix):
    mesh = dense.predict(image)[0].mesh()
    assert mesh.save(tmp_path / f"face.{suffix}").stat().st_size > 100_000
    with pytest.raises(HpeError, match=r"saved as .obj or .glb, got suffix '.stl'"):
        mesh.save(tmp_path / "face.stl")
    with pytest.raises(HpeError, match="cannot be written"):
        mesh.save(tmp_path / "none" / "face.obj")


def test_a_face_of_another_model_has_none_of_it_and_meshes_cannot_be_drawn(est, image):
    faces = est.predict(image)
    assert (faces[0].expression, faces[0].identity, faces[0].gaze_deg, faces[0].mesh()) == (None, None, None, None)
    with pytest.raises(HpeError, match="'mesh' needs a model that tells the shape of faces"):
        faces.draw(image, parts=["mesh"])


def test_meshes_are_drawn(dense, image):
    picture = dense.predict(image).draw(image, parts=["wireframe", "landmarks"])
    assert (picture.bgr != image).any()
