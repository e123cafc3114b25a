"""The interface of plugins is what the list says; run this file to write it anew.

A change that breaks plugins raises `streamdiff.hookspecs.API_VERSION`.
"""

import ast
import inspect
import textwrap
from importlib import import_module
from pathlib import Path

from streamdiff.hookspecs import API_VERSION

LIST = Path(__file__).with_name("public_api.txt")
MODULES = (
    "streamdiff.model",
    "streamdiff.stages",
    "streamdiff.hookspecs",
    "streamdiff.errors",
    "streamdiff.testing",
    "streamdiff.testing.contract",
)


def listed():
    yield f"API_VERSION = {API_VERSION}"
    for name in MODULES:
        module = import_module(name)
        yield ""
        yield name
        for member in names(module):
            yield from described(member, getattr(module, member))


def names(module):
    """Return the public names: those in __all__, or those that are defined here."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and callable(value)
    )


def described(name, value):
    if inspect.isclass(value) or inspect.isfunction(value):
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
        yield from of_class(node) if inspect.isclass(value) else of_function(node)
    else:
        yield f"    {name}: {type(value).__name__}"


def of_class(node):
    yield f"    class {node.name}({', '.join(map(ast.unparse, node.bases))})"
    for item in node.body:
        match item:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                default = "" if item.value is None else " = ..."
                yield f"        {name}: {ast.unparse(item.annotation)}{default}"
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                yield f"        {name} = {ast.unparse(item.value)}"
            case ast.FunctionDef(name=name) if not name.startswith("_"):
                yield from of_function(item, indent=8)


def of_function(node, indent=4):
    marks = [ast.unparse(d) for d in node.decorator_list if isinstance(d, ast.Name)]
    told = f"{' '.join(['', *marks])} def {node.name}({ast.unparse(node.args)})"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    yield f"{'':{indent}}{told.strip()}{returns}"


def test_the_interface_is_what_the_list_says():
    now, before = list(listed()), LIST.read_text(encoding="utf-8").splitlines()
    gone = [line for line in before if line not in now]
    new = [line for line in now if line not in before]
    assert now == before, (
        f"gone: {gone}; new: {new}. If a plugin could break, raise API_VERSION; then "
        f"run 'python tests/test_public_api.py' and tell it in the changelog."
    )


if __name__ == "__main__":
    LIST.write_text("\n".join(listed()) + "\n", encoding="utf-8")
