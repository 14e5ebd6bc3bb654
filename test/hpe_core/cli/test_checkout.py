"""Entry points of a package that is really on the path: a folder with its metadata."""

import sys

import pytest

from hpe_core.cli.tools import checkout
from hpe_core.errors import HpeError


@pytest.fixture
def tools(entry_point, monkeypatch):
    """File of the module whose function `add` is an entry point of the group `hpe.test`; the test may write it."""
    monkeypatch.delitem(sys.modules, "hpe_test_tools", raising=False)
    return entry_point("hpe.test", "add = hpe_test_tools:add") / "hpe_test_tools.py"


def test_a_tool_is_called_with_the_arguments(tools):
    tools.write_text("def add(a, b):\n    return a + b\n")
    assert checkout.call("hpe.test", "add", "hpe add", 2, 3) == 5


@pytest.mark.parametrize("name", ["add", "another"])
def test_a_tool_that_is_not_there_is_in_the_checkout(tools, name):
    with pytest.raises(HpeError, match=r"^hpe add is not part of this installation: it is in the source checkout; run"):
        checkout.call("hpe.test", name, "hpe add")


@pytest.mark.parametrize("code", ["import absent_one\n", "def add():\n    import absent_one\n"])
def test_a_package_that_a_tool_lacks_is_named(tools, code):
    tools.write_text(code)
    with pytest.raises(HpeError, match=r"^hpe add needs absent_one: in the source checkout, pip install -e"):
        checkout.call("hpe.test", "add", "hpe add")
