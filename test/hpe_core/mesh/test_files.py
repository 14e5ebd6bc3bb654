import numpy as np
import pytest

from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.files import FORMATS, PART_NAMES

trimesh = pytest.importorskip("trimesh", reason="NOT TESTED: meshes in a reader of others (pip install trimesh)")


def read_back(mesh, suffix, tmp_path):
    path = tmp_path / f"face.{suffix}"
    path.write_bytes(FORMATS[suffix](mesh, "face_1"))
    return trimesh.load(path, force="mesh", process=False)


@pytest.mark.parametrize("suffix", FORMATS)
def test_another_program_reads_the_mesh_in_metres_with_y_up_where_the_camera_sees_it(suffix, face_of, tmp_path):
    mesh = mesh_of(face_of(0.0, 0.0, 0.0, (0.1, -0.05, 0.7)))
    read = read_back(mesh, suffix, tmp_path)
    assert len(read.faces) == len(mesh.triangles)
    expected = mesh.vertices_m * [1, -1, -1]
    np.testing.assert_allclose(read.bounds, [expected.min(0), expected.max(0)], atol=1e-5)
    assert 0.2 < np.ptp(read.bounds[:, 1]) < 0.4 and read.bounds[1, 2] < -0.6  # a head, in front of the camera


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_mesh_that_is_read_back_faces_outward(suffix, face_of, tmp_path):
    read = read_back(mesh_of(face_of()), suffix, tmp_path)
    assert read.volume > 0.001  # of triangles that face inward it would be negative
    mesh = mesh_of(face_of())
    normals = np.cross(*(mesh.vertices_m[mesh.triangles[:, i]] - mesh.vertices_m[mesh.triangles[:, 0]] for i in (1, 2)))
    np.testing.assert_allclose(read.face_normals[:50] * [1, -1, -1], unit(normals)[:50], atol=0.02)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_an_obj_has_a_group_for_each_part_and_normals_of_its_vertices(face_of):
    lines = FORMATS["obj"](mesh_of(face_of()), "face_1").decode().splitlines()
    assert lines[0] == "o face_1"
    assert [line[2:] for line in lines if line.startswith("g ")] == list(PART_NAMES.values())
    assert sum(line.startswith("v ") for line in lines) == sum(line.startswith("vn ") for line in lines)


def test_a_glb_has_lengths_that_fit_its_chunks(face_of):
    data = FORMATS["glb"](mesh_of(face_of()), "face_1")
    assert data[:4] == b"glTF" and int.from_bytes(data[8:12], "little") == len(data)
    json_length = int.from_bytes(data[12:16], "little")
    assert json_length % 4 == 0 and data[20 + json_length + 4 : 20 + json_length + 8] == b"BIN\0"
    assert int.from_bytes(data[20 + json_length : 24 + json_length], "little") == len(data) - 28 - json_length
