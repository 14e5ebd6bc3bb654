import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

import hpe_core
from hpe_core import CameraModel, HeadPose, HpeError, catalogue
from hpe_core.api.head_pose import HeadPose as Direct


def same(faces, others):
    assert len(faces) == len(others) > 0
    for face, other in zip(faces, others, strict=True):
        np.testing.assert_array_equal(face.R, other.R)
        np.testing.assert_array_equal(face.position_m, other.position_m)
        np.testing.assert_array_equal(face.covariance, other.covariance)


def test_importing_the_package_loads_nothing_and_its_names_come_on_use():
    code = (
        "import sys, hpe_core\n"
        "loaded = [name for name in ('numpy', 'cv2', 'hpe_core.api', 'hpe_core.errors') if name in sys.modules]\n"
        "from hpe_core import HeadPose\n"
        "heavy = ('scipy', 'rosbags', 'av', 'pandas', 'supervision', 'PIL', 'onnxruntime', 'rich')\n"
        "print(loaded, [name for name in heavy if name in sys.modules], HeadPose.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] [] HeadPose"


def test_the_package_names_what_it_has():
    assert HeadPose is Direct and {"HeadPose", "CameraModel", "HpeError", "__version__"} <= set(dir(hpe_core))
    with pytest.raises(AttributeError, match="has no attribute 'HeadPosse'"):
        _ = hpe_core.HeadPosse


def test_the_stub_has_the_names_that_come_on_use():
    stub = (hpe_core.__file__ or "").replace("__init__.py", "__init__.pyi")
    with open(stub) as file:
        text = file.read()
    assert all(f"import {name} as {name}" in text for name in hpe_core._LAZY)


def test_a_path_an_array_and_a_pil_image_give_the_same_faces(est, image, folder):
    Image = pytest.importorskip("PIL.Image", reason="NOT TESTED: PIL images (pip install pillow)")
    path = folder / "photo.png"
    faces = est.predict(path)
    assert len(faces) == 1
    for other in (
        str(path),
        image,
        Image.open(path),
        np.dstack([image, image[:, :, :1]]),
        image.astype(np.uint16) * 257,
    ):
        same(est.predict(other), faces)


def test_with_rgb_true_arrays_are_rgb_and_files_are_what_they_are(est, image, folder):
    rgb = HeadPose(backend="onnxruntime", rgb=True)
    same(rgb.predict(image[:, :, ::-1]), est.predict(image))
    same(rgb.predict(folder / "photo.png"), est.predict(image))


def test_the_order_of_the_channels_matters(est, image):
    (right,) = est.predict(image)
    for wrong in est.predict(image[:, :, ::-1]):
        assert abs(wrong.yaw - right.yaw) + abs(wrong.pitch - right.pitch) > 3.0


def test_unrelated_photos_are_never_blended(est, frames):
    """Whatever was asked before, alone or in a list, the answer about a photo is that of a fresh HeadPose."""
    photos = [frames[i][0] for i in (30, 0, 50)]
    alone = [HeadPose(backend="onnxruntime").predict(photo) for photo in photos]
    for faces, fresh in zip(est.predict(photos), alone, strict=True):
        same(faces, fresh)
    for photo, fresh in zip(photos, alone, strict=True):
        same(est.predict(photo), fresh)
        assert [face.id for face in fresh] == [None]


def test_predict_leaves_a_track_that_is_going_on_alone(est, frames):
    plain = [frame.faces for frame in est.track(frames[:12])]
    between = []
    for frame in est.track(frames[:12]):
        between.append(frame.faces)
        est.predict(frames[50][0])
    for faces, others in zip(plain, between, strict=True):
        same(faces, others)


def test_a_list_may_hold_images_of_every_kind_and_size(est, image, three, folder):
    listed = est.predict([folder / "photo.png", three, image[:400]])
    assert [len(faces) for faces in listed] == [1, 3, 1]
    assert [(faces.camera.width, faces.camera.height) for faces in listed] == [(640, 480), (960, 240), (640, 400)]
    same(listed[0], est.predict(image))
    assert est.predict([]) == []
    same(est.predict(np.stack([image, image]))[1], listed[0])
    same(next(iter(est.predict(one for one in [image]))), listed[0])


def test_faces_come_best_score_first(est, three):
    scores = [face.score for face in est.predict(three)]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_an_image_without_a_face_has_none(est):
    faces = est.predict(np.zeros((48, 64, 3), np.uint8))
    assert len(faces) == 0 and not faces and repr(faces) == "<0 faces>"


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (3000, 2, 3)])
def test_an_image_of_an_odd_shape_has_no_face(est, shape):
    assert len(est.predict(np.full(shape, 128, np.uint8))) == 0


def test_a_calibration_makes_distances_metric(est, folder, image):
    """Twice the focal length: the same face is twice as far away."""
    (near,) = est.predict(image)
    for camera in (folder / "camera.yaml", str(folder / "camera.yaml"), CameraModel(640, 480, KNOWN)):
        faces = HeadPose(camera=camera, backend="onnxruntime").predict(image)
        assert not faces.camera.assumed
        assert faces[0].distance_m / near.distance_m == pytest.approx(2.0, rel=0.1)
    assert est.predict(image).camera.assumed


KNOWN = np.array([[1108.5, 0, 319.5], [0, 1108.5, 239.5], [0, 0, 1]])


def test_a_calibration_serves_its_images_resized_and_refuses_others(folder, image, three):
    est = HeadPose(camera=folder / "camera.yaml", backend="onnxruntime")
    half = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    assert est.predict(half)[0].distance_m == pytest.approx(est.predict(image)[0].distance_m, rel=0.05)
    with pytest.raises(HpeError, match="the camera is for images of 640x480, or that resized, and this one is 960x240"):
        est.predict(three)
    with pytest.raises(HpeError, match="this one is 960x240"):
        list(est.track([three], fps=30))


def test_a_wider_field_of_view_brings_the_face_nearer(est, image):
    wide = HeadPose(hfov_deg=90, backend="onnxruntime").predict(image)
    assert wide[0].distance_m < 0.8 * est.predict(image)[0].distance_m


@pytest.mark.parametrize(
    "options, words",
    [
        ({"model": "nonesuch"}, "unknown model 'nonesuch', known: "),
        ({"model": 3}, r"model must be str, got int \(3\)"),
        ({"backend": "abacus"}, "abacus"),
        ({"threads": -1}, r"threads must lie in \[0, 256\], got -1"),
        ({"threads": 1.5}, "threads must be int"),
        ({"hfov_deg": 0}, r"must lie in \(0, 180\) degrees, got 0"),
        ({"hfov_deg": float("nan")}, "got nan"),
        ({"hfov_deg": "wide"}, "hfov_deg must be a number of degrees, got 'wide'"),
        ({"camera": "missing.yaml"}, "missing.yaml"),
        ({"camera": KNOWN}, "camera must be None, a camera_info YAML file or a CameraModel, got ndarray"),
        ({"settings": {"astimator": {}}}, "unknown setting 'astimator', known: estimator, tracker"),
        (
            {"settings": {"estimator": {"model": "fusion"}}},
            "model is an argument of HeadPose: leave it out of settings",
        ),
        ({"settings": {"estimator": 3}}, "estimator must be a group of settings, got 3"),
        ({"settings": 3}, "settings must be a dict"),
    ],
)
def test_a_bad_argument_is_named_in_one_line(options, words):
    with pytest.raises(HpeError, match=words) as raised:
        HeadPose(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("thing", [None, 3, {"image": 1}, 1.5])
def test_what_predict_does_not_take_is_named(est, thing):
    with pytest.raises(HpeError, match="predict takes an image or a list of images, got"):
        est.predict(thing)


def test_the_bad_one_of_a_list_is_named(est, image):
    with pytest.raises(HpeError, match=r"image 1 of the list: missing\.jpg does not exist"):
        est.predict([image, "missing.jpg"])


def test_threads_may_share_one_headpose(est, frames):
    pictures = [frames[i][0] for i in (0, 15, 30, 45)]
    expected = est.predict(pictures)
    answers = [[] for _ in pictures]

    def ask(index):
        answers[index] += [est.predict(pictures[index]) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for faces, mine in zip(expected, answers, strict=True):
        assert len(mine) == 5
        for one in mine:
            same(one, faces)


def test_two_headposes_do_not_touch_each_other(est, image):
    other = HeadPose("head6dof_int8", hfov_deg=40, backend="onnxruntime")
    before = est.predict(image)
    assert other.predict(image)[0].landmarks_px is None
    same(est.predict(image), before)


def test_the_shipped_method_and_camera_are_in_its_short_text(est, folder):
    assert repr(est) == f"<HeadPose: {catalogue.auto_method(True)}, onnxruntime, hfov 60 deg assumed>"
    assert "camera 640x480" in repr(HeadPose(camera=folder / "camera.yaml", backend="onnxruntime"))
