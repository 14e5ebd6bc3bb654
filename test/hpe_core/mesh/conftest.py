import numpy as np
import pytest

from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh import head_model
from hpe_core.types import Face, FaceShape, HeadPose

EXPRESSIONS = {"jawOpen": 0.7, "eyeBlink_L": 0.9, "mouthSmile_R": 0.5}


@pytest.fixture(scope="session")
def model():
    return head_model.shipped()


@pytest.fixture(scope="session")
def camera():
    return CameraModel.from_hfov(640, 480, 60.0)


@pytest.fixture(scope="session")
def shape_of(model):
    def make(seed=0, **expressions):
        """A person of random identity with named expressions."""
        identity = np.random.default_rng(seed).normal(0.0, 1.0, head_model.IDENTITIES)
        expression = np.zeros(head_model.EXPRESSIONS)
        for name, weight in expressions.items():
            expression[model.expression_names.index(name)] = weight
        return FaceShape(identity, expression)

    return make


@pytest.fixture(scope="session")
def face_of(shape_of):
    def make(yaw=20.0, pitch=-10.0, roll=5.0, t=(0.05, -0.02, 0.6), **fields):
        R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw, pitch, roll))
        shape = fields.pop("shape", None) or shape_of(**EXPRESSIONS)
        return Face(HeadPose(R, np.array(t)), 0.9, np.array([250.0, 150.0, 390.0, 330.0]), shape=shape, **fields)

    return make
