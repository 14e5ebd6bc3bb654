"""Messages of the pose node about the shape of faces: expressions and meshes, of a dense model."""

from collections.abc import Sequence

from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import JointState
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from hpe_core.face_id import FaceId
from hpe_core.mesh.drawing import drawn_triangles
from hpe_core.mesh.expressions import named_expressions
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import shipped_small
from hpe_core.types import Face

NAMESPACE = "mesh"


def expressions(faces: Sequence[Face], header: Header) -> JointState:
    """sensor_msgs/JointState: name `<id>/<movement>`, position its weight, 0 to 1, of every Face that has a shape;
    empty without one.

    ROS has no message of its own for named numbers; of those that every distribution has this is the one that plotting
    tools show by name and that robots with faces and avatars take.
    """
    names, weights = named_expressions(faces)
    return JointState(header=header, name=names, position=weights)


def mesh_markers(faces: Sequence[Face], header: Header) -> MarkerArray:
    """visualization_msgs/MarkerArray: per Face that has a shape a TRIANGLE_LIST in the camera's frame, metres, on the
    smaller surface of the head model; first all old ones go."""
    made = [Marker(header=header, action=Marker.DELETEALL)]
    for face in faces:
        mesh = mesh_of(face, shipped_small())
        if mesh is None:
            continue
        triangles = drawn_triangles(mesh)
        vertices = [Point(x=x, y=y, z=z) for x, y, z in mesh.vertices_m[: triangles.max() + 1].tolist()]
        face_id = FaceId(face.face_id)
        red, green, blue = (channel / 255.0 for channel in face_id.colour_rgb)
        made.append(
            Marker(
                header=header,
                ns=NAMESPACE,
                id=face_id.number,
                type=Marker.TRIANGLE_LIST,
                scale=Vector3(x=1.0, y=1.0, z=1.0),
                color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
                points=[vertices[corner] for corner in triangles.ravel().tolist()],
            )
        )
    return MarkerArray(markers=made)
