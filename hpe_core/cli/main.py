"""The command `hpe`: head poses from a camera, a video, images or a rosbag2, without ROS."""

import argparse
import io
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import hpe_core
from hpe_core.cli.arguments import check_texts, hfov_deg, whole
from hpe_core.errors import HpeError
from hpe_core.io.text import one_line, printable

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

RUN_DESCRIPTION = """\
Find every face in every image of SOURCE and write its pose to the output folder:

  poses.csv       one row per face and frame; yaw, pitch, roll in degrees (AFLW2000 convention: yaw > 0 turns to the
                  image's left, pitch > 0 up, roll > 0 clockwise), quaternion and translation of the REP-155 face frame
                  (x out of the face, z to the scalp) in the camera optical frame, metres, box in pixels
  poses/          rosbag2 (MCAP) with /head_pose, /head_poses and /tf in the input's stamps
  overlay.mp4     the video with axes, boxes and numbers drawn (overlay/ for images)
  summary.json    counts, losses, latency, camera, model card, versions

They are written into DIR/hpe_unfinished and moved into place when they are whole.
The images of a folder are taken as unrelated: ids start anew in each, their stamps are one second apart."""

EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130


def main(argv=None):
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
        return args.command(args)
    except HpeError as error:
        _print_error(error)
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # e.g. `hpe models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:  # e.g. a disk that is full
        name = f": {os.fsdecode(error.filename)}" if error.filename else ""
        _print_error(f"{error.strerror or error}{name}")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("hpe: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _print_error(error):
    print(f"hpe: error: {one_line(error)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """One line on errors, as everywhere else in the command."""

    def error(self, message):
        raise HpeError(f"{message} (see {self.prog} --help)")


def _parser():
    formatter = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="hpe", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"hpe {hpe_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run", help="estimate head poses in a source", description=RUN_DESCRIPTION, formatter_class=formatter
    )
    run.add_argument(
        "source",
        metavar="SOURCE",
        help="camera index, video, image, folder of images or rosbag2 (folder, .mcap, .db3)",
    )
    run.add_argument("--out", metavar="DIR", help="output folder (default: hpe_out/<name of the source>)")
    run.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run in DIR")
    run.add_argument("--topic", metavar="T", help="image topic of a bag (default: the only one, or the first)")
    camera = run.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera-info", metavar="FILE.yaml", help="calibration as camera_calibration writes it; beats the bag's own"
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
    run.add_argument("--overlay", action=argparse.BooleanOptionalAction, default=True, help="draw the result")
    run.add_argument("--show", action="store_true", help="show the result in a window (q ends)")
    run.add_argument("--model", metavar="NAME", help="name as `hpe models` lists it, or .onnx file; default: auto")
    run.add_argument("--backend", metavar="NAME", help="inference backend: auto (default), onnxruntime, ...")
    run.add_argument(
        "--threads", metavar="N", type=whole(0, 256), help="inference threads (default: 1; 0 takes all cores)"
    )
    run.add_argument("--config", metavar="FILE.yaml", help="settings that differ from the defaults")
    run.set_defaults(command=_run)

    from hpe_core.cli import bench
    from hpe_core.cli import engine as engine_commands
    from hpe_core.cli import nlml as nlml_commands
    from hpe_core.cli.evaluation_arguments import add_parsers

    add_parsers(commands)
    engine_commands.add_parsers(commands)
    bench.add_parsers(commands)
    nlml_commands.add_parsers(commands)
    models = commands.add_parser("models", help="list the models and their cards")
    models.add_argument("name", metavar="NAME", nargs="?", help="print everything on this model's card, as JSON")
    models.set_defaults(command=_models)
    return parser


def _run(args):
    from hpe_core.io.camera_info import DEFAULT_HFOV_DEG, CameraChoice, camera_from_yaml
    from hpe_core.io.out_folder import OutFolder
    from hpe_core.io.sources import open_source
    from hpe_core.output.run_folder import NAMES

    given = camera_from_yaml(args.camera_info) if args.camera_info else None
    cameras = CameraChoice(given, DEFAULT_HFOV_DEG if args.hfov is None else args.hfov)
    config = _config(args)
    with open_source(args.source, args.topic) as source:
        folder = Path(args.out) if args.out is not None else Path("hpe_out") / source.name
        read = [*source.files, *(path for path in (args.camera_info, args.config, args.model) if path)]
        with OutFolder(folder, "run", NAMES, args.overwrite, read) as out:
            from hpe_core.pipeline.pipeline import Pipeline

            return _Run(args, source, out, cameras, Pipeline(config)).run()


def _config(args):
    """PipelineConfig from --config, with the single options over it."""
    from hpe_core.config import PipelineConfig, overridden

    config = PipelineConfig()
    if args.config:
        from hpe_core.io.yaml_file import load_mapping

        values = load_mapping(args.config, "config file")
        try:
            config = overridden(config, values)
        except HpeError as error:
            raise HpeError(f"config file {args.config}: {error}") from error
    names = ("model", "backend", "threads", "image_rotation")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return replace(config, estimator=replace(config.estimator, **given))


class _Interrupt:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a flag, so that files can be finished; the second one acts as
    usual. A SIGHUP that is ignored, as under nohup, stays ignored."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.requested = False

    def __enter__(self):
        heard = [number for number in self.SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._on_signal) for number in heard}
        return self

    def _on_signal(self, number, frame):
        self.requested = True
        for handled in self._before:
            signal.signal(handled, signal.default_int_handler if handled == signal.SIGINT else signal.SIG_DFL)

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Run:
    """One `hpe run`: frames through the pipeline into the output folder."""

    def __init__(self, args, source, out, cameras, pipeline):
        from rich.console import Console

        from hpe_core.output.summary import Summary

        self._args, self._source, self._out = args, source, out
        self._cameras, self._pipeline = cameras, pipeline
        self._summary = Summary()
        self._outputs = self._window = None
        self._written = ()
        self._unreadable = []  # frames before the first image
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._noted = set()

    def run(self):
        """The whole run; returns the exit code."""
        from hpe_core.output.window import Window

        if self._args.show:
            self._window = Window()
        left = self._out.note()
        with _Interrupt() as interrupt:
            try:
                self._process_all(interrupt)
            finally:
                self._finish(interrupt.requested)
        if self._outputs is None and not interrupt.requested:
            raise HpeError(self._why_nothing())
        if left:
            self._note(left)
        self._report(interrupt.requested)
        return EXIT_INTERRUPTED if interrupt.requested else EXIT_OK

    def _process_all(self, interrupt):
        frames, progress = iter(self._source), _progress(self._console)
        try:
            while not interrupt.requested:
                start = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                read_s = time.perf_counter() - start
                if frame.image_bgr is None:
                    self._drop(frame)
                elif not self._process(frame, read_s):
                    break
                self._print_notices()
                if self._outputs is None:
                    continue  # no bar before a first frame has gone through: errors stand alone
                if not progress.tasks:
                    progress.add_task(printable(self._source.name), total=self._source.total, faces=0)
                    progress.start()
                faces = sum(self._summary.faces.values())
                progress.update(progress.task_ids[0], completed=frame.index + 1, faces=faces)
        finally:
            if progress.tasks:
                progress.stop()

    def _drop(self, frame):
        """A frame without an image: counted, named, and a row of the CSV once that is open."""
        self._summary.drop_frame(frame)
        if self._outputs is None:
            self._unreadable.append(frame)
        else:
            self._outputs.write_unreadable(frame)

    def _process(self, frame, read_s):
        """One image; returns False when the user has closed the window."""
        from hpe_core.output.overlay import draw

        camera = self._cameras.of(frame)
        if self._source.kind == "images" or self._cameras.changed:
            self._pipeline.reset()
        start = time.perf_counter()
        result = self._pipeline.process(frame.image_bgr, camera, frame.stamp_ns)
        posed = time.perf_counter()
        if self._outputs is None:
            self._open_outputs()
        opened = time.perf_counter()
        goes_on = True
        if self._args.overlay or self._window:
            picture = draw(frame.image_bgr, camera, result.faces)
            if self._args.overlay:
                self._outputs.write_picture(picture, frame)
            if self._window:
                goes_on = self._window.show(picture)
        drawn = time.perf_counter()
        self._outputs.write(frame, result)
        written = time.perf_counter()
        stage_s = {
            "image_to_pose": posed - start,
            "read": read_s,
            "overlay": drawn - opened,
            "write": written - drawn,
            "end_to_end": read_s + (posed - start) + (written - opened),
        }
        self._summary.add(result, stage_s)
        return goes_on

    def _open_outputs(self):
        """Only once a first image has gone through: a failed start leaves nothing behind."""
        from hpe_core.output.run_folder import Outputs

        images = self._source.kind == "images"
        self._outputs = Outputs(self._out.staged, images, self._args.overlay)
        for frame in self._unreadable:
            self._outputs.write_unreadable(frame)

    def _finish(self, interrupted):
        """Complete all files, also after an error."""
        self._print_notices()
        if self._window:
            self._window.close()
        if self._outputs is None:
            return
        failed = sys.exc_info()[1] is not None
        # a camera ends by an interruption; of anything else there may be earlier results that go further
        in_place = not failed and not (interrupted and self._out.has_earlier and self._source.kind != "camera")
        arguments = {name: value for name, value in vars(self._args).items() if name != "command"}
        self._out.keep = True
        try:
            self._outputs.close()
            self._outputs.write_summary(
                self._summary.as_dict(self._source, self._cameras, self._pipeline, arguments, interrupted or failed)
            )
            if in_place:
                self._written = self._out.place()
        finally:
            if not self._written:
                earlier = "the earlier results stay; " if self._out.has_earlier else ""
                self._note(f"{earlier}what was written until now is in {self._out.unfinished}")

    def _why_nothing(self):
        reasons = "; ".join(f"{reason} ({count}x)" for reason, count in self._summary.dropped.most_common(3))
        lost = "; ".join(f"{reason}: {count}" for reason, count in self._source.losses.items())
        details = "; ".join(text for text in (reasons, lost) if text)
        return f"{self._args.source} has no image that can be read" + (f": {details}" if details else "")

    def _note(self, text):
        self._console.print(f"[yellow]hpe: note:[/] {_escaped(one_line(text))}")

    def _print_notices(self):
        about_cameras = self._cameras.notices if self._outputs else ()  # before a first result errors stand alone
        for text in (*self._source.notices, *about_cameras):
            if text not in self._noted:
                self._note(text)
            self._noted.add(text)

    def _report(self, interrupted):
        if self._outputs is None:
            self._note("interrupted before the first image, nothing was written")
            return
        s = self._summary
        print(f"frames    {s.frames}, {s.frames_with_faces} with a face" + ", interrupted" * interrupted)
        ids = ", ".join(f"{face_id} {count}x" for face_id, count in sorted(s.faces.items())) or "none"
        print(f"faces     {ids if self._source.kind != 'images' else sum(s.faces.values())}")
        for reason, count in (*s.dropped.items(), *self._source.losses.items()):
            print(f"lost      {one_line(reason)}: {count}")
        if s.untracked:
            print(f"untracked {s.untracked} faces, more than there are ids")
        if s.beyond_lens:
            print(f"no pose   {s.beyond_lens} faces where the camera's distortion has no inverse")
        if s.unconfirmed:
            print(f"not told  {s.unconfirmed} faces that a closer look did not confirm")
        if s.nlml:
            text = "nlml      {candidates} candidates, {rigid} aligned rigidly, {out_of_range} out of range"
            print(text.format(**s.nlml))
        latency = s.latency_ms()["image_to_pose"]
        print(f"latency   {latency['p50']:.1f} ms from image to pose (median), {latency['p95']:.1f} ms (95 %)")
        for path in self._written:
            print(f"written   {printable(path)}{'/' * path.is_dir()}")


def _escaped(text):
    from rich.markup import escape

    return escape(text)


def _progress(console):
    from rich import progress

    class Rate(progress.ProgressColumn):
        """Frames per second."""

        def render(self, task):
            from rich.text import Text

            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TextColumn("faces {task.fields[faces]}"),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )


def _models(args):
    import json

    from hpe_core import backends, model_store
    from hpe_core.methods import METHODS

    names = [args.name] if args.name else model_store.names()
    if not names:
        print(f"no models in {model_store.WEIGHTS}")
    if not args.name:
        print("auto: fusion, on a CPU fusion_int8")
        for name, method in METHODS.items():
            print(f"{name}: {method.detector} finds faces, {method.refiner} refines them, rotation: {method.rotation}")
    code = EXIT_OK
    for name in names:
        try:
            path = model_store.path_of(name)
            backend = backends.create("onnxruntime", path, 1)
        except HpeError as error:  # the others are still of use
            _print_error(error)
            code = EXIT_BAD_INPUT
            continue
        if args.name:
            print(json.dumps(backend.card.raw | {"sha256": backend.sha256}, indent=2))
        else:
            _print_card(name, path, backend)
    return code


def _print_card(name, path, backend):
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_row("file", _escaped(f"{path.name}, {path.stat().st_size / 1e6:.1f} MB, sha256 {backend.sha256[:16]}"))
    table.add_row("input", " x ".join(map(str, backend.input_shape)))
    for key, value in backend.card.raw.items():
        if key not in ("name", "spec", "config"):  # the machine's part, all of it in `hpe models NAME`
            table.add_row(key, _escaped(_inline(value)))
    Console(highlight=False).print(table)


def _inline(value):
    """Nested values of a card as readable text: one line per item of a list, a thing's name before its properties."""
    if isinstance(value, dict):
        rest = ", ".join(f"{key} {_inline(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']}: {rest}" if "name" in value else rest
    if isinstance(value, list):
        return "\n".join(_inline(item) for item in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
