"""The command `hpe`: head poses from a camera, a video, images or a rosbag2, without ROS."""

import argparse
import io
import os
import shlex
import sys
from typing import NoReturn

import hpe_core
from hpe_core.cli import models, run
from hpe_core.cli.arguments import check_texts
from hpe_core.cli.evaluation import parsers as evaluation
from hpe_core.cli.terminal import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, print_error
from hpe_core.cli.tools import bench, engine, export, nlml
from hpe_core.errors import HpeError

DESCRIPTION = """\
6DoF head pose from images: every face in the picture gets an id, a rotation and a position in metres.
Runs without ROS and without a GPU."""

EXAMPLES = """\
examples:
  hpe run video.mp4                                poses, overlay video and summary in hpe_out/video
  hpe run 0 --show                                 camera 0, live, in a window
  hpe run photos/ --out faces --hfov 70            a folder of photos, field of view assumed
  hpe run bag/ --topic /camera/image_raw           a rosbag2 (folder, .mcap or .db3) with its CameraInfo
  hpe run video.mp4 --camera-info camera.yaml      with your calibration: distances become metric
  hpe models                                       what models there are

Wrong input ends with one line on the error stream and exit code 2; Ctrl-C finishes all files, exit code 130."""


def main(argv: list[str] | None = None) -> int:
    """Run the command with a list of arguments; returns the exit code."""
    # libraries below would add lines of their own to the one that explains
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no text that the terminal can show
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser().parse_args(argv)
        check_texts(args)
        args.typed = shlex.join(["hpe", *(sys.argv[1:] if argv is None else argv)])
        return args.command(args)
    except HpeError as error:
        print_error(error)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:  # ROS's packages bring only what the nodes need
        package = (error.name or "").partition(".")[0]
        if package in ("", "hpe_core"):
            raise
        print_error(f"the Python package {package} is not installed: pip install {package}")
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # e.g. `hpe models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:  # e.g. a disk that is full
        name = f": {os.fsdecode(error.filename)}" if error.filename else ""
        print_error(f"{error.strerror or error}{name}")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("hpe: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """One line on errors, as everywhere else in the command."""

    def error(self, message: str) -> NoReturn:
        raise HpeError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="hpe", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"hpe {hpe_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for subcommand in (run, evaluation, engine, export, bench, nlml, models):
        subcommand.add_parsers(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
