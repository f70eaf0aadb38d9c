"""The examples in the docstrings of the library."""

import doctest
import importlib
from pathlib import Path

import pytest
import sketchscope

LIBRARY = Path(sketchscope.__file__).parent


def module_name(path):
    return ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)


WITH_EXAMPLES = [module_name(path) for path in sorted(LIBRARY.rglob("*.py")) if ">>> " in path.read_text()]


def test_modules_with_examples_are_found():
    assert {"sketchscope.labels", "sketchscope.diffusion.tiling", "sketchscope.config.layers"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
