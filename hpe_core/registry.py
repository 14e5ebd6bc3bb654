"""Plug-ins are files: a name is a module of a package, imported only when it is used."""

import importlib
import pkgutil
from types import ModuleType

from hpe_core.errors import HpeError


def available(package: str) -> list[str]:
    """Sorted names of the public modules of a package, e.g. `available("hpe_core.backends")`."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def load(package: str, name: str, what: str = "") -> ModuleType:
    """The module `name` of `package`. Raises HpeError, listing the known names, when there is none.

    what: one of the package's modules in that message, by default its name in the singular.
    """
    known = available(package)
    if name not in known:
        what = what or package.rsplit(".", 1)[-1].rstrip("s")
        raise HpeError(f"unknown {what} '{name}', known: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
