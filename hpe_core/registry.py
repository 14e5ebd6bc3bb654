"""Plug-ins are files: a name is a module of a package, imported only when it is used."""

import importlib
import pkgutil

from hpe_core.errors import HpeError


def available(package):
    """Sorted names of the public modules of a package, e.g. `available("hpe_core.backends")`."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def load(package, name):
    """The module `name` of `package`. Raises HpeError, listing the known names, when there is none."""
    known = available(package)
    if name not in known:
        raise HpeError(f"unknown {package.rsplit('.', 1)[-1].rstrip('s')} '{name}', known: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
