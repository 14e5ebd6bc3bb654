"""`hpe export`: networks as files of other runtimes. The converters are entry points: they need PyTorch."""

import argparse

from hpe_core.cli.arguments import whole
from hpe_core.cli.tools import checkout

EXPORTERS = "hpe.exporters"  # group of entry points, functions (parsed arguments) -> exit code
TARGETS = ("litert",)

DESCRIPTION = """\
Writes a network for another runtime, in float and with 8-bit weights, compares both with ONNX Runtime on the crops of
the parity check, and refuses what differs by more than 0.1 (float) or 0.5 degrees (8 bits) in the median.

  hpe export fusion --to litert                    both networks of the default method, in hpe_out/export
  hpe export mine.onnx --to litert --crops crops/mine.npz

litert: LiteRT (formerly TensorFlow Lite) for phones and small boards. Needs a source checkout with
`pip install -e '.[train,litert]'`; the files run anywhere, e.g. with `pip install ai-edge-litert`."""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `export` under an argparse subparsers object."""
    export = subparsers.add_parser(
        "export",
        help="write networks for phones (LiteRT)",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("model", metavar="MODEL", help="network or method as `hpe models` lists it, or an .onnx file")
    export.add_argument("--to", choices=TARGETS, required=True, help="the other runtime")
    export.add_argument("--out", metavar="DIR", default="hpe_out/export", help="default: hpe_out/export")
    export.add_argument("--overwrite", action="store_true", help="replace earlier exports in DIR")
    seen = export.add_mutually_exclusive_group()
    seen.add_argument(
        "--images",
        metavar="SOURCE",
        help="what 8-bit weights are rounded by: images, a video, a bag (default: the sample bag)",
    )
    seen.add_argument("--shards", metavar="DIR", nargs="+", help="the same: training shards, for whole-image networks")
    seen.add_argument("--crops", metavar="FILE.npz", nargs="+", help="the same: stored crops, for crop networks")
    export.add_argument("--count", metavar="N", type=whole(8, 4096), default=128, help="of these (default: 128)")
    export.set_defaults(command=_export)


def _export(args: argparse.Namespace) -> int:
    return checkout.call(EXPORTERS, args.to, f"hpe export --to {args.to}", args)
