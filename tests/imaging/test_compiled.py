"""Compiled functions: the same machine code, compiled here or found on disk."""

import ast
from pathlib import Path

import pytest

import streamdiff.imaging

PACKAGE = Path(streamdiff.imaging.__file__).parents[1]
FOLDERS = (PACKAGE, PACKAGE.parent / "plugins")


def decorated(tree, decorator):
    """Return the functions of a module that have a decorator, by name."""
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(getattr(d, "id", None) == decorator for d in node.decorator_list)
    }


def calls(function):
    """Return the names that a function calls."""
    return {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


@pytest.fixture(scope="module")
def functions():
    """Give all compiled and all inlined functions, as (module, name): function."""
    found = {"compiled": {}, "inlined": {}}
    for path in (p for folder in FOLDERS for p in folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "streamdiff.imaging.compiled" in source:
            tree = ast.parse(source)
            for decorator, named in found.items():
                functions = decorated(tree, decorator)
                named.update({(path.stem, name): f for name, f in functions.items()})
    return found


def test_what_compiled_functions_call_is_inlined(functions):
    names = {name for _, name in functions["compiled"]}
    assert len(names) > 15
    for everything in functions.values():
        for key, function in everything.items():
            assert not calls(function) & names, key


def test_what_is_inlined_is_called(functions):
    called = set().union(*(calls(f) for f in functions["compiled"].values()))
    called |= set().union(*(calls(f) for f in functions["inlined"].values()))
    assert {name for _, name in functions["inlined"]} <= called
