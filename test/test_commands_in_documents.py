"""Commands in the documents: programs, options, extras, make targets and launch arguments exist, by the real parsers.

Commands in blocks marked `sh` are run, too, by test/hpe_core/api/test_documented.py. Those in blocks marked `bash` need
what a test machine lacks: ROS, a camera, a screen, data, a network, a GPU or hours.
"""

import argparse
import ast
import importlib.util
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from hpe_core.cli import main as cli
from hpe_core.errors import HpeError

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), ROOT / "training" / "README.md")
)
KINDS = ("sh", "bash", "python", "yaml", "text")
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(hpe [a-z][^`]*)`")
OWN = ("bench", "docs", "hpe_core", "hpe_ros", "training")
# programs of others, whose options are not ours to check
OTHERS = {"cd", "cp", "dask", "docker", "export", "git", "rosdep", "ros2", "source", "sudo", "sysctl", "rerun"}


def blocks(document):
    """(kind, line, text) of every fenced block."""
    text = (ROOT / document).read_text("utf-8")
    return [(found[1], text.count("\n", 0, found.start()) + 1, found[2]) for found in BLOCK.finditer(text)]


def commands_of(text):
    """Lists of words: the commands of a shell text, without comments, variables before them, and what $(...) runs."""
    text = re.sub(r"\$\([^)]*\)", "X", text.replace("\\\n", " "))
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("&|;"):
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    del words[0]
                if words:
                    yield words
                words = []
            else:
                words.append(word)


COMMANDS = [
    pytest.param(words, id=f"{document}:{line} {' '.join(words)[:60]}")
    for document in DOCUMENTS
    for kind, line, text in blocks(document)
    if kind in ("sh", "bash")
    for words in commands_of(text)
]


class Accepted(BaseException):
    """The arguments were parsed; the program must not go on."""


def check_hpe(arguments):
    try:
        cli._parser().parse_args(arguments)
    except SystemExit as end:  # --help
        assert end.code == 0


def check_module(name, arguments, monkeypatch, capsys):
    """Runs `python -m name` as far as its own parser. One without a parser takes no arguments, and is not run."""
    parse_args = argparse.ArgumentParser.parse_args

    def accepted(self, args=None, namespace=None):
        parse_args(self, args, namespace)
        raise Accepted

    if not importlib.util.find_spec("torch") and name.startswith(("training.", "bench.gpu")):
        pytest.skip(f"NOT CHECKED: python -m {name} (pip install -e '.[train]')")
    path = ROOT / name.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    if "parse_args(" not in file.read_text("utf-8"):
        assert arguments == []
        return
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accepted)
    with pytest.raises(Accepted):
        try:
            runpy.run_module(name, run_name="__main__")
        except ModuleNotFoundError as error:
            pytest.skip(f"NOT CHECKED: python -m {name} needs {error.name}")
        except SystemExit as end:
            pytest.fail(f"{end.code}: {capsys.readouterr().err}")


def check_make(arguments):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in arguments if "=" not in word} <= targets


def check_pip(arguments):
    known = setup_extras()
    for wanted in re.findall(r"(?:hpe_ros|\.)\[([\w,-]+)\]", " ".join(arguments)):
        assert set(wanted.split(",")) <= known


def setup_extras():
    (extras,) = (
        [ast.literal_eval(key) for key in keyword.value.keys]
        for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "extras_require"
    )
    return set(extras)


def launch_arguments(file):
    """Names of the ARGUMENTS of a launch file, and of those that all our nodes share where it uses them."""
    sources = [(ROOT / "launch" / file).read_text("utf-8")]
    if "node_description" in sources[0]:
        sources.append((ROOT / "hpe_ros" / "launching.py").read_text("utf-8"))
    found = set()
    for node in (node for source in sources for node in ast.parse(source).body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "ARGUMENTS":
            found |= {ast.literal_eval(key) for key in node.value.keys}
    return found


def check_launch(arguments):
    package, file, *given = arguments
    assert package == "hpe_ros"
    assert {word.partition(":=")[0] for word in given} <= launch_arguments(file)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # runpy runs what another test has imported
@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_in_a_document_has_arguments_that_exist(words, monkeypatch, capsys):
    program = Path(words[0]).name
    if program == "hpe":
        check_hpe(words[1:])
    elif program in ("python", "python3"):
        if words[1] == "-m" and words[2].split(".")[0] in OWN:
            if words[2] == "hpe_core":
                check_hpe(words[3:])
            else:
                check_module(words[2], words[3:], monkeypatch, capsys)
        elif words[1] == "-m":
            assert words[2] in ("venv", "colcon", "mkdocs")
        else:
            assert words[1] == "-c"
    elif program == "make":
        check_make(words[1:])
    elif program == "pip":
        check_pip(words[1:])
    elif words[:2] == ["ros2", "launch"]:
        check_launch(words[2:])
    else:
        assert program in OTHERS


def subparser(words):
    """The parser of a command as far as it is named, and the words that are left."""
    parser = cli._parser()
    for number, word in enumerate(words):
        choices = next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
        if word not in choices:
            return parser, words[number:]
        parser = choices[word]
    return parser, []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_of_hpe_within_the_text_exist(document):
    text = BLOCK.sub("", (ROOT / document).read_text("utf-8"))
    for found in INLINE.finditer(text):
        parser, rest = subparser(found[1].replace("\n", " ").split()[1:])
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        known = set(parser._option_string_actions)
        negative = {f"--no-{name[2:]}" for name in known}
        assert options <= known | negative, found[1]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_of_a_document_says_what_it_is(document):
    assert [(kind, line) for kind, line, _ in blocks(document) if kind not in KINDS] == []


def test_a_command_that_does_not_exist_is_noticed():
    with pytest.raises(HpeError):
        check_hpe(["run", "talk.mp4", "--no-such-option"])
    with pytest.raises(AssertionError):
        check_launch(["hpe_ros", "pose.launch.py", "no_such:=1"])
    with pytest.raises(AssertionError):
        check_pip(["install", "hpe_ros[no_such]"])
    with pytest.raises(AssertionError):
        check_make(["no_such"])


def test_commands_are_read_as_a_shell_reads_them():
    text = "A=1 hpe run a \\\n  --out b && cd x  # note\npip install '.[t]'; y $(ls a) &\n"
    assert list(commands_of(text)) == [
        ["hpe", "run", "a", "--out", "b"],
        ["cd", "x"],
        ["pip", "install", ".[t]"],
        ["y", "X"],
    ]


def test_the_documents_have_commands_of_every_kind():
    programs = {Path(param.values[0][0]).name for param in COMMANDS}
    assert {"hpe", "python", "make", "pip", "ros2"} <= programs and len(COMMANDS) > 80
