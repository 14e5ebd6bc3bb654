"""`hpe run`: its arguments; the work is done in hpe_core.cli.run_source."""

import argparse

from hpe_core.catalogue import AUTO_TEXT
from hpe_core.cli.arguments import hfov_deg, some_of, whole
from hpe_core.output.choices import DEFAULT_PARTS, EXPORTS, EXTRAS, FORMATS, MESHES, PARTS

DESCRIPTION = """\
Find every face in every image of SOURCE and write its pose to the output folder:

  poses.csv       one row per face and frame; yaw, pitch, roll in degrees (AFLW2000 convention: yaw > 0 turns to the
                  image's left, pitch > 0 up, roll > 0 clockwise), in the camera's axes and (sight_yaw_deg ...) relative
                  to the line of sight; quaternion and translation of the REP-155 face frame (x out of the face, z to
                  the scalp) in the camera optical frame, metres; box in pixels
  poses/          rosbag2 (MCAP) in the input's stamps: /head_pose and /head_angles of the nearest face, /head_poses,
                  /heads, /landmarks, /annotations (for Foxglove) and /tf
  expressions.csv of a model such as dense: 53 facial movements of each face, 0 to 1; in poses/ too, /expressions
  overlay.mp4     the video with axes, boxes and numbers drawn (overlay/ for images)
  summary.json    counts, losses, latency, camera, model card, versions

Of several sources, DIR/summary.json adds up the counts. Exit code: 0, 1 when a source failed, 2 for wrong arguments.
Results are written into DIR/hpe_unfinished and moved into place when they are whole.
The images of a folder are taken as unrelated: ids start again in each, their stamps are one second apart."""


def add_parsers(subparsers: "argparse._SubParsersAction") -> None:
    """Hang `run` under an argparse subparsers object."""
    run = subparsers.add_parser(
        "run",
        help="estimate head poses in a source",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="camera index, rtsp:// address, video, image, folder of images, pattern of images ('frames/*.png') or "
        "rosbag2 (folder, .mcap, .db3); several of them, a pattern ('bags/*.mcap'), a folder of bags or - (a list on "
        "stdin, one a line) make a folder each",
    )
    run.add_argument(
        "--out",
        metavar="DIR",
        help="output folder (default: hpe_out/<name of the source>); of several sources DIR/<name> (default: hpe_out)",
    )
    run.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run in DIR, and FILE.rrd"
    )
    run.add_argument("--topic", metavar="T", help="image topic of a bag (default: the only one, or the first)")
    run.add_argument(
        "--depth-topic",
        metavar="T",
        help="depth topic of a bag, from which ranges are taken; none: do without (default: the only one in the "
        "images' frame)",
    )
    run.add_argument(
        "--depth-camera-info-topic",
        metavar="T",
        help="CameraInfo topic of the depth images, when they have another camera (default: that beside them)",
    )
    camera = run.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera-info",
        metavar="FILE.yaml",
        help="calibration as camera_calibration writes it; overrides the bag's own",
    )
    camera.add_argument(
        "--hfov",
        metavar="DEG",
        type=hfov_deg,
        help="horizontal field of view to assume without calibration (default: 60)",
    )
    run.add_argument(
        "--image-rotation",
        metavar="DEG",
        type=int,
        help="turn the image clockwise by 90, 180 or 270 degrees to find people upright in it, for a camera mounted "
        "turned; poses and boxes stay those of the image as delivered (default: 0)",
    )
    run.add_argument(
        "--detector-size",
        metavar="PX",
        type=int,
        help="width of what full-frame detection sees of an image: larger finds smaller faces and takes longer, "
        "such as 640 (default: 320)",
    )
    run.add_argument("--format", choices=FORMATS, default="csv", help="poses.csv, or poses.parquet (extra `parquet`)")
    run.add_argument(
        "--columns",
        metavar="NAMES",
        type=some_of(EXTRAS),
        default=(),
        help="further columns of it: covariance (the pose's, 21 numbers), landmarks (68, pixels and visibility), "
        "landmarks_m (in the camera frame), with commas between them",
    )
    run.add_argument("--overlay", action=argparse.BooleanOptionalAction, default=True, help="draw the result")
    run.add_argument(
        "--draw",
        metavar="PARTS",
        type=some_of(PARTS),
        default=DEFAULT_PARTS,
        help=f"what to draw, of {','.join(PARTS)} (default: {','.join(DEFAULT_PARTS)}); {', '.join(MESHES)} need a "
        "model such as dense",
    )
    run.add_argument(
        "--blur-faces",
        action="store_true",
        help="make heads unrecognisable in every image that is written or shown, for publishing; finds faces in the "
        "whole of every image (detection_interval_s 0), which is slower",
    )
    run.add_argument(
        "--export",
        choices=EXPORTS,
        help="write the mesh of every face of a photo to meshes/, metres, y up; needs a model such as dense",
    )
    run.add_argument("--bag-image", action="store_true", help="put the images, as JPEG, and CameraInfo into poses/ too")
    run.add_argument("--show", action="store_true", help="show the result in a window (q, or closing it, ends the run)")
    run.add_argument(
        "--view",
        action="store_true",
        help="show image, 3D scene, angles and latency in the Rerun viewer, which stays open (extra `view`)",
    )
    run.add_argument("--save", metavar="FILE.rrd", help="save what --view shows, with or without it (extra `view`)")
    run.add_argument(
        "--model", metavar="NAME", help=f"name as `hpe models` lists it, or .onnx file; default: {AUTO_TEXT}"
    )
    run.add_argument("--backend", metavar="NAME", help="inference backend: auto (default), onnxruntime, ...")
    run.add_argument(
        "--threads", metavar="N", type=whole(0, 256), help="inference threads (default: 1; 0 takes all cores)"
    )
    run.add_argument("--config", metavar="FILE.yaml", help="settings that differ from the defaults")
    many = run.add_argument_group(
        "several sources", "What is finished is skipped, what fails is listed at the end; run it again to go on."
    )
    many.add_argument("--jobs", metavar="N", type=whole(1, 256), help="processes on this machine (default: 1)")
    many.add_argument(
        "--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786, whose workers have the same paths"
    )
    run.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from hpe_core.cli.many.inputs import expanded

    sources = expanded(args.source)
    if sources != args.source or len(sources) > 1 or args.jobs or args.cluster:
        from hpe_core.cli.many.run_many import run_many

        return run_many(args, sources)
    from hpe_core.cli.run_source import run_source

    args.source = sources[0]
    return run_source(args)
