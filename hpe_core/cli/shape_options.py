"""Options of `hpe run` that need a model of dense faces."""

import argparse

from hpe_core.errors import HpeError
from hpe_core.io.frame import Source
from hpe_core.output.choices import MESHES
from hpe_core.pipeline import Pipeline


def check_shape_options(args: argparse.Namespace, source: Source, pipeline: Pipeline) -> None:
    """Raises HpeError when an option asks for meshes and the model tells no shape, or for files of a stream."""
    asked = [f"--draw {part}" for part in args.draw if part in MESHES]
    asked += [f"--export {args.export}"] if args.export else []
    if asked and not pipeline.tells_shape:
        model = pipeline.config.estimator.model
        raise HpeError(f"{asked[0]} needs a model that tells the shape of faces, such as dense; {model} does not")
    if args.export and source.kind != "images":
        raise HpeError(f"--export {args.export} writes the faces of photos, got a {source.kind}: give it single frames")
