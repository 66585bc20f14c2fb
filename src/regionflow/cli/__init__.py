"""The command line: `regionflow COMMAND ...`. arguments.py says what can be typed, the other modules do it."""

import argparse
import sys
from collections.abc import Callable, Sequence

import shtab

from regionflow.base.errors import UserError
from regionflow.cli import results, scenes, stages
from regionflow.cli.arguments import parser

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; mistakes end with a message and exit code 1."""
    chosen = parser().parse_args(arguments)
    try:
        status = COMMANDS.get(chosen.command, stages.run_stage)(chosen)
    except UserError as error:
        sys.exit(f"regionflow: {error}")
    except OSError as error:
        sys.exit(f"regionflow: {error.filename}: {error.strerror}" if error.filename else f"regionflow: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if status is not None:
        sys.exit(status)


def _completion(chosen: argparse.Namespace) -> None:
    """Print the script by which a shell completes `regionflow ...`."""
    print(shtab.complete(parser(), chosen.shell))


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "amg": results.export_masks,
    "compare": results.compare_masks,
    "completion": _completion,
    "list": stages.list_variants,
    "scenes": scenes.write_scenes,
    "search": results.search,
    "verify": results.verify_results,
}
"""What each command does, and its exit code if not 0; all others are stages."""
