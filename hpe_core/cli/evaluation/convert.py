"""`hpe convert`: its arguments, and what it does."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpe_core.cli.arguments import hfov_deg, whole
from hpe_core.cli.evaluation.shared import given_files
from hpe_core.cli.terminal import EXIT_OK
from hpe_core.errors import HpeError

DESCRIPTION = """\
Write rosbag2 files (MCAP) with images, CameraInfo and, for datasets, the ground truth on /truth/head_pose:

  biwi FOLDER       one bag per sequence, pose in the colour camera by rgb.cal
  aflw2000 FOLDER   one bag of unrelated images, ten seconds apart
  300wlp FOLDER     one bag per subset; with --list FILE the list of images within 99 degrees, and no bags
  images, video     no ground truth; CameraInfo only from --camera-info or --hfov"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Hang `convert` under the commands of `hpe`."""
    p = commands.add_parser(
        "convert",
        help="datasets, images and videos into bags",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.set_defaults(command=convert)
    p.add_argument("kind", metavar="KIND", help="see above")
    p.add_argument("source", metavar="SOURCE", help="folder of the dataset, folder of images, or video")
    p.add_argument("--out", metavar="DIR", help="folder of the bags (default: hpe_out/<kind>)")
    p.add_argument("--overwrite", action="store_true", help="replace the bags of an earlier conversion in DIR")
    p.add_argument("--limit", metavar="N", type=whole(1), help="only the first N images")
    p.add_argument("--list", metavar="FILE", help="300wlp: write the list of usable images instead")
    camera = p.add_mutually_exclusive_group()
    camera.add_argument("--camera-info", metavar="FILE.yaml", help="calibration of the images")
    camera.add_argument("--hfov", metavar="DEG", type=hfov_deg, help="horizontal field of view to assume")


def convert(args: argparse.Namespace) -> int:
    """Returns the exit code."""
    from hpe_core.evaluation.convert import convert as conversion
    from hpe_core.io.camera_info import camera_from_yaml

    if args.list:
        return _write_list(args)
    out = Path(args.out) if args.out else Path("hpe_out") / args.kind
    counts, losses, note = conversion.convert(
        args.kind,
        args.source,
        out,
        camera=camera_from_yaml(args.camera_info) if args.camera_info else None,
        hfov_deg=args.hfov,
        overwrite=args.overwrite,
        limit=args.limit,
        sources=given_files(args),
    )
    for name, count in counts.items():
        print(f"written   {out / name}/: {count} images")
    for reason, count in losses.items():
        print(f"lost      {reason}: {count}")
    if note:
        print(f"note      {note}")
    return EXIT_OK


def _write_list(args: argparse.Namespace) -> int:
    """The list of the usable images of 300W-LP."""
    from hpe_core.evaluation.datasets.w300lp import usable
    from hpe_core.evaluation.images.protocols import samples_of
    from hpe_core.io.out_folder import check_new_file, new_file

    if args.kind != "300wlp":
        raise HpeError(f"--list is for 300wlp, got {args.kind}")
    check_new_file(args.list, args.overwrite)
    names, outside = usable(samples_of(args.kind, args.source))
    with new_file(args.list, args.overwrite) as path:
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"written   {args.list}: {len(names)} images, {outside} outside 99 degrees left out")
    return EXIT_OK
