"""`hpe nlml build|fit|train|infer|evaluate`: parsing, and infer; the others are entry points."""

import argparse
import functools
from collections.abc import Callable

from hpe_core.cli.arguments import whole
from hpe_core.cli.tools import checkout
from hpe_core.errors import HpeError

TOOLS = "hpe.nlml_tools"  # group of entry points, functions (parsed arguments) -> exit code

DESCRIPTION = """\
NLML: head pose from landmarks by a tensor manifold (docs/nlml.md). From 3D heads to a model in three commands:

  hpe nlml build --config config/nlml/default.yaml --out nlml/tensor
  hpe nlml fit nlml/tensor --config config/nlml/default.yaml --out nlml/model
  hpe nlml evaluate nlml/model/nlml.npz --out nlml/evaluation

build, fit, train and evaluate need a source checkout with `pip install -e '.[train]'`; infer runs everywhere."""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `nlml` and its commands under an argparse subparsers object; each sets `command`."""
    formatter = argparse.RawDescriptionHelpFormatter
    nlml = subparsers.add_parser(
        "nlml",
        help="the landmark manifold: build, fit, train, infer, evaluate",
        description=DESCRIPTION,
        formatter_class=formatter,
    )
    commands = nlml.add_subparsers(title="commands", metavar="COMMAND", required=True)

    build = commands.add_parser("build", help="make the training tensor, or landmarks of images with known poses")
    _settings(build)
    build.add_argument(
        "--out", metavar="PATH", required=True, help="folder of the tensor; .npz file with --shards, --images"
    )
    build.add_argument("--overwrite", action="store_true", help="replace the .npz file; a tensor is never replaced")
    build.add_argument("--data", metavar="DIR", help="folder with heads/ (default: shared/data beside the checkout)")
    build.add_argument("--detector", metavar="FILE.onnx", help="crop network that measures landmarks")
    build.add_argument("--folder", metavar="DIR", help="images named by angles: DIR/identity/..._(yaw_pitch_roll).jpg")
    build.add_argument(
        "--shards", metavar="DIR", nargs="+", help="measure training shards instead: landmarks with poses"
    )
    build.add_argument("--images", metavar="DIR", help="measure labelled images (labels.csv and images) instead")
    build.add_argument("--limit", metavar="N", type=whole(1), help="with --shards: at most N faces of each")
    build.set_defaults(command=_tool("build"))

    fit = commands.add_parser("fit", help="decompose the tensor, fit the basis, write the model, a report and plots")
    fit.add_argument("tensor", metavar="TENSOR", help="folder that `build` made")
    _settings(fit)
    fit.add_argument(
        "--samples", metavar="FILE.npz", help="measured landmarks (build --shards): learn the detector's bias"
    )
    fit.add_argument(
        "--compare", action="store_true", help="also fit the other bases and tabulate fit, floor, extrapolation"
    )
    fit.add_argument("--out", metavar="DIR", required=True, help="output folder")
    fit.add_argument("--overwrite", action="store_true", help="replace the results of an earlier fit in DIR")
    fit.set_defaults(command=_tool("fit"))

    train = commands.add_parser("train", help="train the feed-forward network of the paper and write it as ONNX")
    train.add_argument("model", metavar="MODEL.npz", help="model that `fit` made: it generates the training faces")
    train.add_argument("tensor", metavar="TENSOR", help="its tensor: the factor curves that the encoder predicts")
    _settings(train)
    train.add_argument(
        "--out", metavar="DIR", required=True, help="output folder; a run that was stopped goes on from it"
    )
    train.set_defaults(command=_tool("train"))

    infer = commands.add_parser("infer", help="poses of landmarks in a file")
    infer.add_argument("landmarks", metavar="FILE.npz", help="points (N, M, 3) and, if known, visible (N, M)")
    infer.add_argument("--model", metavar="MODEL.npz", help="default: the shipped model")
    infer.add_argument("--out", metavar="FILE.csv", help="default: print")
    infer.add_argument("--overwrite", action="store_true", help="replace FILE.csv")
    infer.set_defaults(command=_infer)

    evaluate = commands.add_parser("evaluate", help="errors of a model; failures are counted")
    evaluate.add_argument("model", metavar="MODEL.npz", nargs="?", help="default: the shipped model")
    evaluate.add_argument(
        "--original", metavar="FILE", nargs=2, help="Factor_Matrices.npz and Trained_data.npz instead"
    )
    evaluate.add_argument(
        "--samples", metavar="FILE.npz", nargs="+", help="landmarks with poses (build --shards, --images)"
    )
    evaluate.add_argument("--feed-forward", metavar="FILE.onnx", help="compare with a feed-forward network")
    evaluate.add_argument("--window", choices=("all", "original"), default="all", help="original: 50/40/30 degrees")
    evaluate.add_argument("--tensor", metavar="DIR", help="plot the error against the number of identities of a tensor")
    evaluate.add_argument("--adapt", metavar="FILE.npz", help="with --tensor: learn the detector from these each time")
    evaluate.add_argument(
        "--faces", metavar="N", type=whole(1, 1_000_000), default=500, help="synthetic test faces (default: 500)"
    )
    evaluate.add_argument("--data", metavar="DIR", help="folder with heads/ for synthetic test faces")
    evaluate.add_argument("--out", metavar="DIR", help="folder for results.json and plots")
    evaluate.add_argument("--overwrite", action="store_true", help="replace earlier results in DIR")
    evaluate.set_defaults(command=_tool("evaluate"))


def _settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE.yaml", help="settings that differ from the defaults (config/nlml/)")
    parser.add_argument(
        "--set", metavar="GROUP.NAME=VALUE", action="append", default=[], help="one setting, e.g. tensor.identities=40"
    )


def _tool(name: str) -> Callable[[argparse.Namespace], int]:
    """The entry point of that name, looked up and imported when it is called."""
    return functools.partial(checkout.call, TOOLS, name, f"hpe nlml {name}")


def _infer(args: argparse.Namespace) -> int:
    import contextlib
    import csv
    import sys

    import numpy as np

    from hpe_core.geometry import euler
    from hpe_core.io.out_folder import check_new_file, new_file
    from hpe_core.nlml.infer import infer
    from hpe_core.nlml.model import load, shipped
    from hpe_core.npz_file import read_npz

    read = [args.landmarks, *([args.model] if args.model else [])]
    if args.out:
        check_new_file(args.out, args.overwrite, read)
    model = load(args.model or shipped())
    arrays = read_npz(args.landmarks)
    if "points" not in arrays or arrays["points"].dtype.kind not in "fiu":
        raise HpeError(f"{args.landmarks} lacks numbers named 'points' (N, {model.landmarks}, 3)")
    if "visible" in arrays and arrays["visible"].dtype.kind not in "fiub":
        raise HpeError(f"'visible' in {args.landmarks} must be numbers (N, {model.landmarks})")
    with np.errstate(all="ignore"):  # landmarks beyond all sense do not converge, and are counted
        found = infer(model, arrays["points"], arrays.get("visible"))
    angles_deg = euler.aflw2000.from_matrix(found.R_local).stacked()
    std = np.degrees(np.sqrt(np.trace(found.covariance_rad2, axis1=1, axis2=2) / 3.0))
    columns = (*angles_deg.T, std, found.residual)
    with contextlib.ExitStack() as stack:
        target = sys.stdout
        if args.out:
            path = stack.enter_context(new_file(args.out, args.overwrite, read))
            target = stack.enter_context(open(path, "w", newline=""))
        writer = csv.writer(target)
        writer.writerow(
            ["face", "yaw_deg", "pitch_deg", "roll_deg", "rotation_std_deg", "residual", "converged", "in_range"]
        )
        for i in range(len(found)):
            numbers = [f"{column[i]:.4f}" for column in columns]
            writer.writerow([i, *numbers, int(found.converged[i]), int(found.in_range[i])])
    print(
        f"{len(found)} faces, {int((~found.converged).sum())} not converged, "
        f"{int((~found.in_range).sum())} out of range",
        file=sys.stderr,
    )
    return 0
