import copy

import pytest
from running import REPOSITORY
from sketchscope.config.layers import collect_defaults, list_preset_layers, list_scales, merge, sort_keys
from sketchscope.config.yaml_files import read_yaml
from sketchscope.errors import InputError

FOLDER = REPOSITORY / "resources/scales"
SCALES = {path.stem: merge(*list_scales(path.stem, FOLDER).values()) for path in FOLDER.glob("*.yaml")}


def test_merge_goes_key_by_key_and_replaces_lists():
    layers = [{"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}}, {"a": {"z": None}, "b": {"c": 1}}]
    assert merge(*layers) == {"a": {"x": 1, "y": [3], "z": None}, "b": {"c": 1}}


def test_merge_shares_nothing_with_its_layers():
    layers = [{"a": {"x": [1]}}, {"b": {"y": [2]}}]
    before = copy.deepcopy(layers)
    merged = merge(*layers)
    merged["a"]["x"].append(9)
    merged["b"]["y"].append(9)
    assert layers == before


@pytest.mark.parametrize(("old", "new"), [("images", "dataset"), ("dataset", "images")])
def test_a_later_source_of_images_replaces_the_other_kind(old, new):
    assert merge({old: "x", new: None}, {new: "y"}) == {old: None, new: "y"}


def test_defaults_come_from_every_level_and_some_keys_have_none():
    schema = {"properties": {"a": {"default": 1}, "b": {"default": {}, "properties": {"c": {"default": [2]}}}, "d": {}}}
    assert collect_defaults(schema) == {"a": 1, "b": {"c": [2]}}


def test_preset_layers_run_from_the_base_to_the_preset_each_with_its_scale():
    presets = {
        "base": {"a": 1, "scales": {"demo": {"a": 2}, "paper": {"a": 3}}},
        "child": {"preset": "base", "a": 4, "scales": {"demo": {"a": 5}}},
    }
    assert list_preset_layers("child", {}, presets, ["demo"]) == [{"a": 1}, {"a": 2}, {"a": 4}, {"a": 5}]
    assert list_preset_layers("mine", {"preset": "base"}, presets, ["paper"]) == [{"a": 1}, {"a": 3}]
    assert list_preset_layers("mine", {"preset": "base"}, presets, ["paper", "demo"]) == [{"a": 1}, {"a": 3}, {"a": 2}]
    assert list_preset_layers("child", {"preset": "base"}, presets, ["demo"]) == [{"a": 1}, {"a": 2}]
    assert "scales" in presets["base"], "presets are not changed"


def test_presets_that_build_on_each_other_in_a_circle():
    presets = {"a": {"preset": "b"}, "b": {"preset": "a"}}
    with pytest.raises(InputError, match=r"^organisms\.a\.preset: .* in a circle: a -> b -> a$"):
        list_preset_layers("a", {}, presets, ["demo"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("- 1\n", "line 1: found a list; allowed is a mapping"), ("a: [", "is no valid YAML"), ("", None)],
)
def test_files_that_hold_no_mapping(tmp_path, text, sentence):
    (tmp_path / "x.yaml").write_text(text)
    if sentence is None:
        assert read_yaml(tmp_path / "x.yaml") == {}
        return
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "x.yaml")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def flatten(settings, prefix=""):
    """The values of all keys, with the path of each."""
    flat = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def list_keys(schema, prefix=""):
    """The path of every key of a schema that is no section."""
    keys = []
    for key, value in schema["properties"].items():
        keys += list_keys(value, f"{prefix}{key}.") if "properties" in value else [f"{prefix}{key}"]
    return keys


def test_every_default_has_one_home():
    """The schema, or every scale; a scale on its own may only change a default of the schema."""
    schema = read_yaml(REPOSITORY / "workflow/schemas/organism.yaml")
    defaults, scales = flatten(collect_defaults(schema)), {name: flatten(scale) for name, scale in SCALES.items()}
    assert set(scales) == {"demo", "cluster", "paper"}
    in_every_scale = set.intersection(*map(set, scales.values()))
    assert in_every_scale.isdisjoint(defaults), "a default that every scale overrides"
    assert set(list_keys(schema)) == in_every_scale | defaults.keys(), "a key has neither, or a scale sets no key"
    for name, scale in scales.items():
        undone = scales["paper"].keys() if name == "cluster" else set()  # back to what another scale changes
        repeated = {key for key, value in scale.items() if key in defaults and value == defaults[key]} - undone
        assert not repeated, f"the scale {name} repeats defaults of the schema"
    for key in in_every_scale:
        assert len({str(scale[key]) for scale in scales.values()}) > 1, f"{key} is the same in every scale"


def test_every_key_of_the_top_has_a_default():
    schema = read_yaml(REPOSITORY / "workflow/schemas/config.yaml")
    assert set(list_keys(schema)) == {*flatten(collect_defaults(schema)), "organisms"}


def test_keys_that_the_scale_sets_say_so():
    schema = read_yaml(REPOSITORY / "workflow/schemas/organism.yaml")

    def check(part):
        for key, value in part["properties"].items():
            if "properties" in value:
                check(value)
            else:
                assert ("default" in value) != value["description"].endswith("Set by the scale."), key

    check(schema)


def test_sorting_keeps_every_value():
    schema = read_yaml(REPOSITORY / "workflow/schemas/organism.yaml")
    merged = merge(collect_defaults(schema), SCALES["demo"])
    found = sort_keys(merged, schema)
    assert found == merged
    assert list(flatten(found)) == list_keys(schema)


def test_a_scale_comes_after_the_one_that_it_builds_on(tmp_path):
    (tmp_path / "large.yaml").write_text("{a: 1, b: 1}")
    (tmp_path / "larger.yaml").write_text("{builds_on: large, b: 2}")
    scales = list_scales("larger", tmp_path)
    assert list(scales.items()) == [("large", {"a": 1, "b": 1}), ("larger", {"b": 2})]
