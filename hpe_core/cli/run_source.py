"""What `hpe run` does: frames of a source through the pipeline into an output folder."""

import argparse
import functools
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich import progress
from rich.console import Console
from rich.text import Text

from hpe_core.cli.config_file import config_from_file
from hpe_core.cli.interrupt import Interrupt
from hpe_core.cli.shape_options import check_shape_options
from hpe_core.cli.terminal import EXIT_INTERRUPTED, EXIT_OK, escaped
from hpe_core.config import PipelineConfig, repeatable
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG, CameraChoice, camera_from_yaml
from hpe_core.io.depth.bag_depth import BagDepth, bag_depth
from hpe_core.io.depth.registration import View
from hpe_core.io.frame import Frame, Source
from hpe_core.io.out_folder import OutFolder, new_file
from hpe_core.io.sources import open_source
from hpe_core.io.sources.bag import BagSource
from hpe_core.io.sources.network import without_password
from hpe_core.io.text import one_line, printable
from hpe_core.output.blur import HeadBlur
from hpe_core.output.live.rerun_view import RerunView
from hpe_core.output.live.window import Window
from hpe_core.output.overlay import draw
from hpe_core.output.run_folder import NAMES, Outputs
from hpe_core.output.summary import Summary
from hpe_core.pipeline import Pipeline
from hpe_core.spread import Progress
from hpe_core.types import COUNTED, count_text

OUT = "hpe_out"  # where results go without --out
MOST_IDS = 8  # named at the end of a run; summary.json has them all


def run_source(args: argparse.Namespace) -> int:
    """`hpe run`; returns the exit code. Raises HpeError when the source or the settings are invalid."""
    given = camera_from_yaml(args.camera_info) if args.camera_info else None
    config = config_of(args)
    with ExitStack() as stack:
        window = stack.enter_context(closing(Window())) if args.show else None
        source = stack.enter_context(open_source(args.source, args.topic))
        folder = Path(args.out) if args.out is not None else Path(OUT) / source.name
        read = [*source.files, *option_files(args)]
        out = stack.enter_context(OutFolder(folder, "run", NAMES, args.overwrite, read))
        depth = depth_of(args, source)
        pipeline = Pipeline(config)
        view = _opened_view(args, stack, source.name, read)
        return Run(args, source, out, cameras_of(args, given), pipeline, depth, window, view).run()


def option_files(args: argparse.Namespace) -> list[str]:
    """Files that the options of `hpe run` name."""
    return [path for path in (args.camera_info, args.config, args.model) if path]


def cameras_of(args: argparse.Namespace, given: CameraModel | None) -> CameraChoice:
    """The CameraChoice of a run; given: the calibration of --camera-info."""
    return CameraChoice(given, DEFAULT_HFOV_DEG if args.hfov is None else args.hfov)


def _opened_view(args: argparse.Namespace, stack: ExitStack, name: str, read: Iterable[str | Path]) -> RerunView | None:
    """What --view and --save ask for, closed with the stack; None when they ask for nothing."""
    if not (args.view or args.save):
        return None
    save = stack.enter_context(new_file(args.save, args.overwrite, read)) if args.save else None
    return stack.enter_context(closing(RerunView(args.view, save, name)))


def depth_of(args: argparse.Namespace, source: Source) -> BagDepth | None:
    """Depth images beside the images of the source, None where there are none."""
    if isinstance(source, BagSource):
        depth, note = bag_depth(args.source, source.topic, args.depth_topic, args.depth_camera_info_topic)
        source.notices += [note] if note else []
        return depth
    for option, value in (("depth-topic", args.depth_topic), ("depth-camera-info-topic", args.depth_camera_info_topic)):
        if value is not None:
            raise HpeError(f"--{option} {value} needs a rosbag2, got {args.source}")
    return None


def config_of(args: argparse.Namespace) -> PipelineConfig:
    """PipelineConfig from --config, with the single options over it."""
    config = config_from_file(args.config) if args.config else PipelineConfig()
    names = ("model", "backend", "threads", "image_rotation", "detector_size")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.blur_faces:
        given["detection_interval_s"] = 0.0  # nobody is in the picture before being found
    return repeatable(replace(config, estimator=replace(config.estimator, **given)))


class Run:
    """One `hpe run`: frames through the pipeline into the output folder."""

    def __init__(
        self,
        args: argparse.Namespace,
        source: Source,
        out: OutFolder,
        cameras: CameraChoice,
        pipeline: Pipeline,
        depth: BagDepth | None = None,
        window: Window | None = None,
        view: RerunView | None = None,
        follow: Progress | None = None,
    ):
        """follow: called with frames done and in all; a run that is followed prints nothing, and what is not whole
        comes nowhere. Raises HpeError when the options ask for what the model does not tell."""
        check_shape_options(args, source, pipeline)
        self._args = args
        self._source = source
        self._out = out
        self._cameras = cameras
        self._pipeline = pipeline
        self._depth = depth
        self._summary = Summary()
        self._outputs: Outputs | None = None
        self._window = window
        self._view = view
        self._blur = HeadBlur() if args.blur_faces else None
        self._closed = False  # the window, by the user
        self._written: Sequence[Path] = ()
        self._unreadable: list[Frame] = []  # before the first image
        self._follow = follow
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=follow is not None)
        self._noted: set[str] = set()

    def run(self) -> int:
        """The whole run; returns the exit code."""
        left = self._out.note()
        interrupted = self.complete()
        if left:
            self._note(left)
        self._report(interrupted or self._closed)
        return EXIT_INTERRUPTED if interrupted else EXIT_OK

    def complete(self) -> bool:
        """All frames and files; returns whether a signal ended it."""
        with Interrupt() as interrupt:
            try:
                self._process_all(interrupt)
            except BaseException:
                self._finish(interrupt.requested, failed=True)
                raise
            interrupted = interrupt.requested
            self._finish(interrupted or self._closed, failed=False)
        if self._outputs is None and not interrupted:
            raise HpeError(self._why_nothing())
        return interrupted

    def _process_all(self, interrupt: Interrupt) -> None:
        frames = iter(self._source)
        bar = _progress(self._console)
        try:
            while not interrupt.requested:
                start = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                read_s = time.perf_counter() - start
                if frame.image_bgr is None:
                    self._drop(frame)
                elif not self._process(frame, frame.image_bgr, read_s):
                    self._closed = True
                    break
                self._print_notices()
                if self._follow:
                    self._follow(frame.index + 1, self._source.total)
                    continue
                if self._outputs is None:
                    continue  # no bar before a first frame has gone through: errors stand alone
                if not bar.tasks:
                    bar.add_task(printable(self._source.name), total=self._source.total, faces=0)
                    bar.start()
                faces = sum(self._summary.faces.values())
                bar.update(bar.task_ids[0], completed=frame.index + 1, faces=faces)
        finally:
            if bar.tasks:
                bar.stop()

    def _drop(self, frame: Frame) -> None:
        """A frame without an image: counted, named, and a row of the CSV once that is open."""
        self._summary.drop_frame(frame)
        if self._outputs is None:
            self._unreadable.append(frame)
        else:
            self._outputs.write_unreadable(frame)

    def _process(self, frame: Frame, image_bgr: np.ndarray, read_s: float) -> bool:
        """One image; returns False when the user has closed the window."""
        camera = self._cameras.of(frame)
        if self._source.kind == "images" or self._cameras.changed:
            self._pipeline.reset()
            if self._blur:
                self._blur.reset()
        start = time.perf_counter()
        depth = self._depth and functools.partial(self._depth.of, frame.stamp_ns, View(camera, frame.frame_id))
        result = self._pipeline.process(image_bgr, camera, frame.stamp_ns, depth)
        posed = time.perf_counter()
        outputs = self._outputs or self._open_outputs()
        opened = time.perf_counter()
        if self._blur:
            image_bgr = self._blur.hide(image_bgr, camera, result)
            frame = replace(frame, image_bgr=image_bgr)
        wanted = self._args.overlay or self._window
        picture = draw(image_bgr, camera, result.faces, parts=self._args.draw) if wanted else None
        if picture is not None and self._args.overlay:
            outputs.write_picture(picture, frame)
        drawn = time.perf_counter()
        goes_on = self._window.show(picture) if self._window and picture is not None else True
        if self._view:
            self._view.show(frame, image_bgr, camera, result, posed - start)
        shown = time.perf_counter()
        outputs.write(frame, result, camera)
        written = time.perf_counter()
        stage_s = {
            "image_to_pose": posed - start,
            "read": read_s,
            "overlay": drawn - opened,
            "show": shown - drawn,
            "write": written - shown,
            "end_to_end": read_s + (posed - start) + (written - opened),
        }
        self._summary.add(result, stage_s)
        return goes_on

    def _open_outputs(self) -> Outputs:
        """Only once a first image has gone through: a failed start leaves nothing behind."""
        images = self._source.kind == "images"
        args = self._args
        named = (images, args.overlay, args.bag_image, args.format, args.columns)
        self._outputs = Outputs(self._out.staged, *named, self._pipeline.tells_shape, args.export)
        for frame in self._unreadable:
            self._outputs.write_unreadable(frame)
        return self._outputs

    def _finish(self, interrupted: bool, failed: bool) -> None:
        """Complete all files, also after an error."""
        self._print_notices()
        if self._window:
            self._window.close()
        if self._depth:
            self._depth.close()
        if self._outputs is None:
            return
        # a camera ends by an interruption; of anything else there may be earlier results that go further
        only_whole = self._out.has_earlier or self._follow
        in_place = not failed and not (interrupted and only_whole and self._source.kind != "camera")
        arguments = {name: value for name, value in vars(self._args).items() if name not in ("command", "typed")}
        arguments["source"] = without_password(self._args.source)
        self._out.keep = True
        try:
            self._outputs.close()
            self._outputs.write_summary(
                self._summary.as_dict(self._source, self._cameras, self._pipeline, arguments, interrupted or failed)
                | ({"depth_images": self._depth.as_dict()} if self._depth else {})
            )
            if in_place:
                self._written = self._out.place()
        finally:
            if not self._written:
                earlier = "the earlier results stay; " if self._out.has_earlier else ""
                self._note(f"{earlier}what was written until now is in {self._out.unfinished}")

    def _why_nothing(self) -> str:
        reasons = "; ".join(f"{reason} ({count}x)" for reason, count in self._summary.dropped.most_common(3))
        lost = "; ".join(f"{reason}: {count}" for reason, count in self._source.losses.items())
        details = "; ".join(text for text in (reasons, lost) if text)
        return f"{without_password(self._args.source)} has no image that can be read" + (
            f": {details}" if details else ""
        )

    def _note(self, text: str) -> None:
        self._console.print(f"[yellow]hpe: note:[/] {escaped(one_line(text))}")

    def _print_notices(self) -> None:
        about_cameras = self._cameras.notices if self._outputs else ()  # before a first result errors stand alone
        about_depth = self._depth.notices if self._depth else ()
        about_view = self._view.notices if self._view else ()
        for text in (*self._source.notices, *about_cameras, *about_depth, *about_view):
            if text not in self._noted:
                self._note(text)
            self._noted.add(text)

    def _report(self, interrupted: bool) -> None:
        if self._outputs is None:
            self._note("interrupted before the first image, nothing was written")
            return
        s = self._summary
        end = ", interrupted" if interrupted else ""
        print(f"frames    {s.frames}, {s.frames_with_faces} with a face{end}")
        ids = ", ".join(f"{face_id} {count}x" for face_id, count in s.faces.most_common(MOST_IDS)) or "none"
        ids += f", and {len(s.faces) - MOST_IDS} more" if len(s.faces) > MOST_IDS else ""
        print(f"faces     {ids if self._source.kind != 'images' else sum(s.faces.values())}")
        if s.turned_away:
            print(f"counted   heads turned away, whose faces cannot be seen: {s.turned_away}")
        if self._depth:
            print(f"depth     {self._depth.used} images with a face, from {printable(self._depth.topic)}")
            for reason, count in (*self._depth.without.items(), *self._depth.losses.items()):
                print(f"no depth  {one_line(reason)}: {count}")
        for reason, count in (*s.dropped.items(), *self._source.losses.items()):
            print(f"lost      {one_line(reason)}: {count}")
        for name, count in s.counts.items():
            if count or name not in COUNTED:
                print(f"counted   {count_text(name)}: {count}")
        latency = s.latency_ms()["image_to_pose"]
        print(f"latency   {latency['p50']:.1f} ms from image to pose (median), {latency['p95']:.1f} ms (p95)")
        for path in self._written:
            end = "/" if path.is_dir() else ""
            print(f"written   {printable(path)}{end}")
        if self._args.save:
            print(f"written   {printable(self._args.save)}")


class _Rate(progress.ProgressColumn):
    """Frames per second."""

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


def _progress(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.MofNCompleteColumn(),
        _Rate(),
        progress.TextColumn("faces {task.fields[faces]}"),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )
