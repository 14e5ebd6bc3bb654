"""`hpe eval KIND` and `hpe convert` in the parser of `hpe`."""

import argparse

from hpe_core.cli.evaluation import bag, convert, dataset, images


def add_parsers(commands: "argparse._SubParsersAction") -> None:
    """Hang `eval` and `convert` under the commands of `hpe`."""
    evaluation = commands.add_parser("eval", help="measure poses in bags and on datasets")
    kinds = evaluation.add_subparsers(title="what to evaluate", metavar="KIND", required=True)
    for module in (bag, dataset, images):
        module.add_parser(kinds)
    convert.add_parser(commands)
