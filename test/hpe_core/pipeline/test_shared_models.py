"""Models that several pipelines of one process have in common."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from hpe_core import backends, catalogue
from hpe_core.config import EstimatorConfig, PipelineConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline
from hpe_core.pipeline.shared_models import OneAtATime, SharedModels

CONFIG = PipelineConfig(EstimatorConfig(model="fusion_int8", backend="onnxruntime", threads=1))


def test_two_pipelines_have_the_same_loaded_networks_and_give_what_each_alone_gives():
    models = SharedModels()
    one, other = (Pipeline(CONFIG, create=models.create) for _ in range(2))
    assert [b for _, b in one.models] == [b for _, b in other.models]
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    camera = CameraModel.from_hfov(640, 480, 60.0)
    alone = Pipeline(CONFIG).process(image, camera, 1)
    assert len(one.process(image, camera, 1).faces) == len(alone.faces)
    card = one.card
    assert card.name == Pipeline(CONFIG).card.name


def test_other_threads_or_another_network_is_another_model():
    models = SharedModels()
    path = catalogue.path_of("head6dof_int8")
    made = [models.create("onnxruntime", path, threads) for threads in (1, 1, 2)]
    assert made[0] is made[1] and made[0] is not made[2]
    assert models.create("onnxruntime", path, 1, width=640) not in made


def test_the_model_goes_with_the_last_pipeline_that_has_it():
    models = SharedModels()
    one, other = (Pipeline(CONFIG, create=models.create) for _ in range(2))
    backend = weakref.ref(one.backend)
    del one
    gc.collect()
    assert backend() is not None
    del other
    gc.collect()
    assert backend() is None


def test_threads_that_ask_at_once_load_one_model():
    models, made = SharedModels(), []
    path = catalogue.path_of("head6dof_int8")
    threads = [threading.Thread(target=lambda: made.append(models.create("onnxruntime", path, 1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and len({id(backend) for backend in made}) == 1


class Counting:
    """A backend that notes how many threads are in it; the network behind it is real."""

    def __init__(self, backend):
        self._backend, self.inside, self.most = backend, 0, 0

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def run(self, array):
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.02)
        rows = self._backend.run(array)
        self.inside -= 1
        return rows


@pytest.mark.parametrize("locked", [True, False])
def test_a_backend_for_one_thread_is_used_by_one_at_a_time(locked):
    counting = Counting(backends.create("onnxruntime", catalogue.path_of("head6dof_int8"), 1))
    backend = OneAtATime(counting) if locked else counting
    image, rows = np.zeros((1, *counting.input_shape[1:]), np.uint8), []
    threads = [threading.Thread(target=lambda: rows.append(backend.run(image))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 4 and all(np.array_equal(row, rows[0]) for row in rows)
    assert (counting.most == 1) == locked
