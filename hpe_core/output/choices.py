"""What can be asked for by name in tables and pictures; imports nothing, because `hpe --help` reads it."""

FORMATS = ("csv", "parquet")  # of the table of poses

COVARIANCE, LANDMARKS, LANDMARKS_M = "covariance", "landmarks", "landmarks_m"
EXTRAS = (COVARIANCE, LANDMARKS, LANDMARKS_M)  # groups of columns on request

BOX, CUBOID, CONTOURS, POINTS, UNCERTAINTY, AXES, LABEL, LEGEND = PARTS = (
    *("box", "cuboid", "contours", "points", "uncertainty", "axes", "label", "legend"),
)  # of a picture, in the order in which they are drawn
DEFAULT_PARTS = (CONTOURS, UNCERTAINTY, AXES, LABEL, LEGEND)
