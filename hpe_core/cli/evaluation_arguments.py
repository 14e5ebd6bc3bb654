"""The arguments of `hpe eval` and `hpe convert`."""

import argparse
import importlib

from hpe_core.cli.arguments import hfov_deg, whole

BAG_DESCRIPTION = """\
Measure head poses in rosbag2 files against a truth, or alone. BAG is a bag (folder, .mcap, .db3) or a folder of bags.

An estimate or the truth is a topic (PoseStamped, PoseWithCovarianceStamped, PoseArray, TransformStamped, Odometry,
vision_msgs/Detection3DArray), tf:PARENT/CHILD (CHILD may be a pattern: tf:camera/face_*), FILE.csv as `hpe run` writes
it, or OTHER_BAG:TOPIC; an estimate may also be `run` or `run:MODEL`, our pipeline over the bag's images.
NAME=... before any of them names it in the report.

Exit code: 0, 1 when a threshold fails, 2 for input that cannot be evaluated."""

BAG_EXAMPLES = """\
examples:
  hpe eval bag assets/sample_bag --estimate run --truth /truth/head_pose --out report
  hpe eval bag lab.mcap --estimate ours=/head_pose --estimate theirs=/other/pose --truth tf:camera/marker
  hpe eval bag robot_run --estimate /head_pose                      without truth: jitter, dropouts, rate, latency
  hpe eval bag all_bags/ --estimate run --truth /truth --jobs 4 --thresholds limits.yaml"""


DATASET_DESCRIPTION = """\
Run a model on every image of a dataset that you have, in the dataset's own folder format, by a published protocol:

  aflw2000          AFLW2000-3D, labels within 99 degrees (1969 images)
  biwi              BIWI Kinect, all frames, colour camera (rgb.cal)
  biwi-70-30        BIWI, sequences 17 to 24 only
  nlml-window       AFLW2000-3D within 50/40/30 degrees; nlml-window-biwi likewise

Every image is scored, missed or skipped for a stated reason; results.json and frames.csv say which."""

IMAGES_DESCRIPTION = """\
Compare methods on labelled images: our models, and with --peers other people's networks, all on the same images in the
same run. FOLDER holds labels.csv with images, shard_*.npz of this project, AFLW2000-3D, 300W-LP or BIWI.

Every labelled face is found or missed for a stated reason, by every method; a method that cannot run here is listed as
absent. results.json, frames.csv (a row per method and face), tables.md and report.html are written.

Exit code: 0, 1 when a threshold fails, 2 for input that cannot be evaluated."""

CONVERT_DESCRIPTION = """\
Write rosbag2 files (MCAP) with images, CameraInfo and, for datasets, the truth on /truth/head_pose:

  biwi FOLDER       one bag per sequence, pose in the colour camera by rgb.cal
  aflw2000 FOLDER   one bag of unrelated images, ten seconds apart
  300wlp FOLDER     one bag per subset; with --list FILE the list of images within 99 degrees, and no bags
  images, video     no truth; CameraInfo only from --camera-info or --hfov"""


def add_parsers(commands):
    """Add `eval` and `convert` to the subparsers of the command `hpe`."""
    formatter = argparse.RawDescriptionHelpFormatter
    evaluation = commands.add_parser("eval", help="measure poses in bags and on datasets")
    kinds = evaluation.add_subparsers(title="what to evaluate", metavar="KIND", required=True)
    bag = kinds.add_parser(
        "bag",
        help="bags against a truth, or alone",
        description=BAG_DESCRIPTION,
        epilog=BAG_EXAMPLES,
        formatter_class=formatter,
    )
    _add_bag_arguments(bag)
    bag.set_defaults(command=_later("eval_bag"))
    dataset = kinds.add_parser(
        "dataset", help="a model on a public dataset", description=DATASET_DESCRIPTION, formatter_class=formatter
    )
    _add_dataset_arguments(dataset)
    dataset.set_defaults(command=_later("eval_dataset"))
    images = kinds.add_parser(
        "images",
        help="methods side by side on labelled images",
        description=IMAGES_DESCRIPTION,
        formatter_class=formatter,
    )
    _add_images_arguments(images)
    images.set_defaults(command=_later("eval_images", "evaluation_images"))
    convert = commands.add_parser(
        "convert",
        help="datasets, images and videos into bags",
        description=CONVERT_DESCRIPTION,
        formatter_class=formatter,
    )
    _add_convert_arguments(convert)
    convert.set_defaults(command=_later("convert"))


def _later(name, module="evaluation"):
    """The function of that name in a module of this room, imported when it is called."""

    def call(args):
        return getattr(importlib.import_module(f"hpe_core.cli.{module}"), name)(args)

    return call


def _add_bag_arguments(p):
    p.add_argument("bag", metavar="BAG", help="bag, or folder of bags")
    p.add_argument("--estimate", action="append", metavar="E", help="what to measure; repeat to compare (default: run)")
    p.add_argument("--truth", metavar="T", help="what to measure against; none: what can be said without truth")
    p.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/eval_<bag>)")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")
    p.add_argument("--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html")
    p.add_argument("--errors-bag", action=argparse.BooleanOptionalAction, default=True, help="write errors.mcap")
    run = p.add_argument_group("the estimate `run`")
    run.add_argument("--model", metavar="NAME", help="model for `run` (default: the shipped one)")
    run.add_argument("--topic", metavar="T", help="image topic (default: the only one, or the first)")
    run.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    run.add_argument("--camera-info", metavar="FILE.yaml", help="calibration; beats the bag's own")
    run.add_argument("--hfov", metavar="DEG", type=hfov_deg, help="horizontal field of view without calibration (60)")
    run.add_argument("--flip", action="store_true", help="measure consistency with mirrored images too")
    how = p.add_argument_group("how to compare")
    how.add_argument("--estimate-frame", choices=("face", "head", "gaze"), default="face", help="axes of estimates")
    how.add_argument("--truth-frame", choices=("face", "head", "gaze"), default="face", help="axes of the truth")
    how.add_argument("--ignore-frame-ids", action="store_true", help="take all frame_ids as the same camera")
    how.add_argument("--gate", metavar="M", type=float, default=0.3, help="farthest an estimate may lie from its head")
    how.add_argument("--max-truth-gap", metavar="S", type=float, default=0.2, help="longest gap that is interpolated")
    how.add_argument(
        "--tolerance", metavar="S", type=float, help="farthest a stamp may lie from its frame (half of one)"
    )
    how.add_argument("--apply-offset", action="store_true", help="apply the estimated clock offset, not just report it")
    how.add_argument("--max-offset", metavar="S", type=float, default=1.0, help="largest clock offset looked for")
    how.add_argument("--calibration-part", metavar="X", type=float, default=0.2, help="share that fits frame offsets")
    how.add_argument("--target", action="append", metavar="NAME=X,Y,Z", help="looked-at point in the camera frame")
    how.add_argument("--looking-angle", metavar="DEG", type=float, default=15.0, help="looks at a target when closer")
    many = p.add_argument_group("many bags")
    many.add_argument("--jobs", metavar="N", type=whole(1, 256), default=1, help="processes for bags and model runs")
    many.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786")


def _add_dataset_arguments(p):
    p.add_argument("folder", metavar="FOLDER", help="the dataset as it was published")
    p.add_argument("--protocol", required=True, metavar="P", help="aflw2000, biwi, biwi-70-30, nlml-window, ...")
    p.add_argument("--model", metavar="NAME", help="model name or .onnx file (default: the shipped one)")
    p.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    p.add_argument(
        "--hfov", metavar="DEG", type=hfov_deg, default=60.0, help="assumed where the dataset has no calibration"
    )
    p.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/eval_<protocol>)")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images (for a trial)")
    p.add_argument("--jobs", metavar="N", type=whole(1, 256), default=1, help="processes")


def _add_images_arguments(p):
    p.add_argument("folder", metavar="FOLDER", help="labelled images")
    p.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/eval_<folder>)")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")
    p.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="as `hpe run --model`, repeatable (default: all of ours)",
    )
    p.add_argument("--config", metavar="FILE.yaml", help="settings of the pipeline that differ from the defaults")
    p.add_argument(
        "--hfov", metavar="DEG", type=hfov_deg, default=60.0, help="assumed where images have no calibration"
    )
    p.add_argument(
        "--peers", metavar="DIR", help="weights of the peers (training/README.md); needs a checkout and torch"
    )
    p.add_argument(
        "--align-on", metavar="FOLDER", help="other labelled images, which fit one constant rotation per method"
    )
    p.add_argument("--without", action="append", metavar="IMAGE", help="tell the result without this image, too")
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images (for a trial)")
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")


def _add_convert_arguments(p):
    p.add_argument("kind", choices=("biwi", "aflw2000", "300wlp", "images", "video"), metavar="KIND", help="see above")
    p.add_argument("source", metavar="SOURCE", help="folder of the dataset, folder of images, or video")
    p.add_argument("--out", metavar="DIR", help="folder of the bags (default: hpe_out/<kind>)")
    p.add_argument("--overwrite", action="store_true", help="replace the bags of an earlier conversion in DIR")
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images")
    p.add_argument("--list", metavar="FILE", help="300wlp: write the list of usable images instead")
    camera = p.add_mutually_exclusive_group()
    camera.add_argument("--camera-info", metavar="FILE.yaml", help="calibration of the images")
    camera.add_argument("--hfov", metavar="DEG", type=hfov_deg, help="horizontal field of view to assume")
