"""What can be asked for by name in tables and pictures; imports no library, because `hpe --help` reads it."""

from collections.abc import Collection, Sequence

from hpe_core.errors import HpeError

FORMATS = ("csv", "parquet")  # of the table of poses
EXPORTS = ("obj", "glb")  # of meshes

COVARIANCE, LANDMARKS, LANDMARKS_M = "covariance", "landmarks", "landmarks_m"
EXTRAS = (COVARIANCE, LANDMARKS, LANDMARKS_M)  # groups of columns on request

MESHES = ("mesh", "normals", "depth", "wireframe")  # parts of a picture that need a model of dense faces
BOX, CUBOID, CONTOURS, POINTS, LANDMARKS_PART, UNCERTAINTY, AXES, LABEL, LEGEND = (
    *("box", "cuboid", "contours", "points", "landmarks", "uncertainty", "axes", "label", "legend"),
)
# of a picture, in the order in which they are drawn; landmarks: contours and points
PARTS = (BOX, CUBOID, *MESHES, CONTOURS, POINTS, LANDMARKS_PART, UNCERTAINTY, AXES, LABEL, LEGEND)
DEFAULT_PARTS = (CONTOURS, UNCERTAINTY, AXES, LABEL, LEGEND)


def checked(names: Collection[str], allowed: Sequence[str], what: str) -> tuple[str, ...]:
    """The allowed names among these, in the order of `allowed`; what: for people. Raises HpeError when one is not."""
    unknown = [name for name in names if name not in allowed]
    if isinstance(names, str) or unknown:
        got = repr(names) if isinstance(names, str) else ", ".join(map(repr, unknown))
        raise HpeError(f"{what} must be a list of some of {', '.join(allowed)}, got {got}")
    return tuple(name for name in allowed if name in names)
