"""Tools that are in the source checkout and in no wheel: entry points, imported when they are called."""

from typing import Any

from hpe_core.errors import HpeError

INSTALL = "pip install -e '.[train]'"


def call(group: str, name: str, wanted: str, *arguments: object) -> Any:
    """What the entry point `name` of a group returns for the arguments. `wanted`: what the user asked for, in messages.

    Raises HpeError when it is not part of this installation, or when a package that it needs is missing.
    """
    from importlib.metadata import entry_points

    outside = f"{wanted} is not part of this installation: it is in the source checkout; run there {INSTALL}"
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        raise HpeError(outside)
    try:
        return found.load()(*arguments)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] == found.module.split(".")[0]:
            raise HpeError(outside) from error
        raise HpeError(f"{wanted} needs {missing}: in the source checkout, {INSTALL}") from error
