"""Which names of ROS packages our files use, read from their syntax trees; no ROS needed.

`python -m docs.ros_api` prints what test/hpe_ros/api_since.csv lacks: look up there where it appeared.

A use is written `rclpy.qos.QoSProfile`, a member `rclpy.node.Node.get_clock`, an argument or a message field
`rclpy.qos.QoSProfile(depth)`. What kind of thing a variable holds is known from annotations, calls of classes, and the
column `gives` of the table; members of a variable that is none of these are not seen.
"""

import ast
import csv
from dataclasses import dataclass, field
from pathlib import Path

DISTRIBUTIONS = ("humble", "iron", "jazzy", "kilted", "lyrical")
ROOT = Path(__file__).parents[1]
TABLE = ROOT / "test" / "hpe_ros" / "api_since.csv"
ROS = ("rclpy", "launch", "launch_ros", "tf2_ros", "ament_index_python", "cv_bridge", "builtin_interfaces")
ROS += ("rcl_interfaces",)


def of_ros(dotted):
    """Whether a dotted name begins in a ROS package."""
    package = dotted.split(".")[0]
    return package in ROS or package.endswith("_msgs")


@dataclass(frozen=True)
class Row:
    """since, until: first and last distribution with it, until is empty for still there; gives: class of what it is or
    returns; is_a: base class; instead: what our code does where it is missing."""

    api: str
    since: str
    until: str
    gives: str
    is_a: str
    instead: str

    def exists_in(self, distribution):
        last = self.until or DISTRIBUTIONS[-1]
        return DISTRIBUTIONS.index(self.since) <= DISTRIBUTIONS.index(distribution) <= DISTRIBUTIONS.index(last)


def table(path):
    """dict api -> Row of the CSV file."""
    with open(path, newline="", encoding="utf-8") as lines:
        rows = [Row(**row) for row in csv.DictReader(lines)]
    assert len({row.api for row in rows}) == len(rows), "an api twice"
    return {row.api: row for row in rows}


@dataclass
class Module:
    """One file: names -> dotted names they stand for; classes -> OurClass; functions -> node."""

    path: Path
    dotted: str
    tree: ast.Module
    names: dict = field(default_factory=dict)
    classes: dict = field(default_factory=dict)


@dataclass
class OurClass:
    """Base classes as dotted names, names of its own members, kinds of its attributes."""

    bases: list
    members: set
    kinds: dict = field(default_factory=dict)


def module(path, text, dotted):
    """The Module of a file's text."""
    made = Module(path, dotted, ast.parse(text))
    for node in ast.walk(made.tree):
        if isinstance(node, ast.ImportFrom):
            made.names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                known_as = alias.asname or alias.name.split(".")[0]
                made.names[known_as] = alias.name if alias.asname else known_as
    for node in made.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            made.names.setdefault(node.name, f"{dotted}.{node.name}")
    for node in made.tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [made.names.get(ast.unparse(base), "") for base in node.bases]
            made.classes[f"{dotted}.{node.name}"] = OurClass(bases, set(_members(node)))
    return made


def _members(node):
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef):
            yield part.name
        elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and ast.unparse(part.value) == "self":
            yield part.attr
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id


def modules():
    """The Module of every file of the nodes and launch files."""
    for path in sorted([*(ROOT / "hpe_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]):
        place = path.relative_to(ROOT)
        yield module(place, path.read_text("utf-8"), ".".join(place.with_suffix("").parts).removesuffix(".__init__"))


def uses(modules, rows):
    """Sorted list of (api, 'file:line', guarded): every use in Modules; rows: the table, for what gives what.

    guarded: whether it stands where an ImportError is caught, or is only there for a type checker.
    """
    classes = {name: of for made in modules for name, of in made.classes.items()}
    returns = {name: kind for made in modules for name, kind in _returns(made)}
    found = set()
    for _ in range(2):  # the first reading finds the kinds of attributes
        found = set()
        for made in modules:
            _Reader(made, classes, returns, rows, found).visit(made.tree)
    return sorted(found)


def _returns(made):
    """(dotted name of a function of ours, what it is annotated to return) where that is a class."""
    for node in made.tree.body:
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield f"{made.dotted}.{node.name}", _annotated(node.returns, made.names)


def _annotated(annotation, names):
    """Dotted name of the class that an annotation means, None left out; else an empty text."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.BinOp):
        sides = [side for side in (annotation.left, annotation.right) if ast.unparse(side) != "None"]
        annotation = sides[0] if len(sides) == 1 else annotation
    return names.get(annotation.id, "") if isinstance(annotation, ast.Name) else ""


class _Reader(ast.NodeVisitor):
    """Follows one file.

    A kind is ('name', dotted) for a class, function or module, ('thing', dotted class) for what a variable holds,
    ('member', dotted) for a method or attribute of a thing, and ('keys', names) for a dict that is written out.
    """

    def __init__(self, made, classes, returns, rows, found):
        self._made, self._classes, self._returns, self._rows, self._found = made, classes, returns, rows, found
        self._class, self._variables, self._guards = None, {}, 0

    def _use(self, api, node):
        if of_ros(api):
            self._found.add((api, f"{self._made.path}:{node.lineno}", self._guards > 0))

    # --- what may be missing ---------------------------------------------------------------------------------------

    def visit_Try(self, node):
        caught = any(handler.type and "ImportError" in ast.unparse(handler.type) for handler in node.handlers)
        self._guarded([*node.body, *node.handlers] if caught else [], node)

    def visit_If(self, node):
        self._guarded(node.body if ast.unparse(node.test) == "TYPE_CHECKING" else [], node)

    def _guarded(self, parts, node):
        for child in ast.iter_child_nodes(node):
            self._guards += child in parts
            self.visit(child)
            self._guards -= child in parts

    def visit_ImportFrom(self, node):
        for alias in node.names:
            self._use(f"{node.module}.{alias.name}", node)

    def visit_Import(self, node):
        for alias in node.names:
            self._use(alias.name, node)

    # --- scopes ----------------------------------------------------------------------------------------------------

    def visit_ClassDef(self, node):
        outer, self._class = self._class, f"{self._made.dotted}.{node.name}"
        self.generic_visit(node)
        self._class = outer

    def visit_FunctionDef(self, node):
        outer, self._variables = self._variables, dict(self._variables)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            kind = _annotated(argument.annotation, self._made.names) if argument.annotation else ""
            if self._class and argument is arguments[0] and argument.arg == "self":
                kind = self._class
            self._variables[argument.arg] = ("thing", kind) if kind else None
        for child in [*node.args.defaults, *node.decorator_list, *node.body]:
            self.visit(child)
        self._variables = outer

    def visit_Assign(self, node):
        if isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name):
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            self._variables[node.targets[0].id] = ("keys", keys)
            return self.visit(node.value)
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=True):
                    self._remember(one, self._kind(value))
            else:
                self._remember(target, self._kind(node.value))
        return None

    def visit_AnnAssign(self, node):
        kind = _annotated(node.annotation, self._made.names)
        self._remember(node.target, ("thing", kind) if kind else None)
        if node.value is not None:
            self.visit(node.value)

    def _remember(self, target, kind):
        held = kind if kind and kind[0] == "thing" else self._given(kind)
        if isinstance(target, ast.Name):
            self._variables[target.id] = held
        elif isinstance(target, ast.Attribute):
            if ast.unparse(target.value) == "self" and self._class in self._classes and held:
                self._classes[self._class].kinds[target.attr] = held
            elif ast.unparse(target.value) != "self":
                self._kind(target)

    # --- expressions -----------------------------------------------------------------------------------------------

    def visit_Call(self, node):
        self._kind(node)

    def visit_Attribute(self, node):
        self._kind(node)

    def _kind(self, node):
        """The kind of an expression, or None; records the uses in it."""
        if isinstance(node, ast.Name):
            if node.id in self._variables:
                return self._variables[node.id]
            return ("name", self._made.names[node.id]) if node.id in self._made.names else None
        if isinstance(node, ast.Attribute):
            return self._member(self._kind(node.value), node)
        if isinstance(node, ast.Call):
            return self._called(node)
        self.generic_visit(node)
        return None

    def _called(self, node):
        if isinstance(node.func, ast.Name) and node.func.id == "super" and self._class:
            return ("thing", self._ros_base(self._class))
        kind = self._kind(node.func)
        for child in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.visit(child)
        if kind is None or kind[0] == "keys":
            return None
        of = kind[1]
        for name in self._keywords(node):
            self._use(f"{self._listed(of)}({name})", node)
        if kind[0] == "member" or not of_ros(of):
            return self._given(kind) or (("thing", of) if of in self._classes else None)
        return self._given(kind) or ("thing", of)

    def _keywords(self, call):
        """Names of the keyword arguments of a call, those of a dict that was written out before it too."""
        for keyword in call.keywords:
            held = self._variables.get(ast.unparse(keyword.value)) if keyword.arg is None else None
            if keyword.arg is not None:
                yield keyword.arg
            elif held and held[0] == "keys":
                yield from held[1]

    def _given(self, kind):
        """What a member is, or a function returns."""
        if kind is None or kind[0] in ("thing", "keys"):
            return kind
        row = self._rows.get(self._listed(kind[1]))
        given = (row.gives if row else "") or self._returns.get(kind[1], "")
        return ("thing", given) if given else None

    def _member(self, kind, node):
        if kind is None or kind[0] == "keys":
            return None
        of = kind[1]
        if kind[0] == "name":
            self._use(f"{of}.{node.attr}", node)
            return ("name", f"{of}.{node.attr}")
        if kind[0] == "member":
            kind = self._given(kind)
            return self._member(kind, node) if kind else None
        if of in self._classes:
            own = self._classes[of]
            if node.attr in own.kinds:
                return own.kinds[node.attr]
            of = self._ros_base(of)
            if node.attr in self._all_members(kind[1]) or not of:
                return None
        api = self._listed(f"{of}.{node.attr}")
        self._use(api, node)
        return ("member", api)

    def _listed(self, api):
        """An api by the class that has it in the table: its own or a base of that."""
        owner, _, name = api.rpartition(".")
        while owner:
            if f"{owner}.{name}" in self._rows:
                return f"{owner}.{name}"
            owner = self._rows[owner].is_a if owner in self._rows else ""
        return api

    def _ros_base(self, name):
        """The ROS class that a class of ours comes from, or an empty text."""
        while name in self._classes:
            name = next((base for base in self._classes[name].bases if base in self._classes or of_ros(base)), "")
        return name

    def _all_members(self, name):
        of = self._classes.get(name)
        return set() if of is None else of.members.union(*(self._all_members(base) for base in of.bases))


def main():
    rows = table(TABLE)
    for api in sorted({api for api, *_ in uses(list(modules()), rows)} - set(rows)):
        print(f"{api},?,,,,")


if __name__ == "__main__":
    main()
