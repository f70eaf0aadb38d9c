import copy

import pytest
from sketchscope.config.schema import check_schema, describe_allowed
from sketchscope.errors import InputError

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "steps": {"type": ["integer", "null"], "minimum": 1},
        "rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "device": {"type": "string", "enum": ["auto", "cpu"]},
        "images": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "minItems": 1,
            "examples": ["*.tif"],
        },
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 4}, "minItems": 2, "maxItems": 3},
        "inner": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"size": {"type": "integer"}},
            "removed": {"weight": "set size"},
        },
    },
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"steps": None, "rate": 1, "device": "cpu"},
        {"images": "a", "shape": [4, 5, 6], "inner": {"size": -1}},
        {"images": ["a", "b"]},
    ],
)
def test_good_settings_pass_as_they_are(settings):
    before = copy.deepcopy(settings)
    check_schema(settings, SCHEMA)
    assert settings == before, "no default is filled in"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 0}, "steps: found 0; allowed is a whole number (at least 1) or null"),
        ({"steps": 2.0}, "steps: found 2.0; allowed is a whole number (at least 1) or null"),
        ({"steps": True}, "steps: found true; allowed is a whole number (at least 1) or null"),
        ({"rate": 0}, "rate: found 0; allowed is a number (above 0, at most 1)"),
        ({"rate": None}, "rate: found null; allowed is a number (above 0, at most 1)"),
        ({"rate": float("nan")}, "rate: found NaN; allowed is a number (above 0, at most 1)"),
        (
            {"rate": "1e-3"},
            'rate: found "1e-3"; allowed is a number (above 0, at most 1) (write 0.001, without quotes)',
        ),
        ({"device": "gpu"}, 'device: found "gpu"; allowed is auto or cpu'),
        (
            {"images": []},
            "images: found []; allowed is a text (such as *.tif) or a list (1 or more entries, each a text)",
        ),
        ({"shape": [96, 2]}, "shape[1]: found 2; allowed is a whole number (at least 4)"),
        (
            {"shape": [96]},
            "shape: found [96]; allowed is a list (2 to 3 entries, each a whole number (at least 4))",
        ),
        ({"inner": 3}, "inner: found 3; allowed is a mapping of keys to values"),
        ({"inner": {"sise": 3}}, "inner.sise: unknown key; did you mean size?"),
        ({"inner": {"weight": 3}}, "inner.weight: no longer a key; set size"),
        ({"zebra": 3}, "zebra: unknown key; known are steps, rate, device, images, shape, inner"),
        ({1: 3, "steps": 0}, "1: unknown key; known are steps, rate, device, images, shape, inner"),
    ],
)
def test_a_mistake_is_one_sentence(settings, sentence):
    with pytest.raises(InputError) as caught:
        check_schema(settings, SCHEMA)
    assert str(caught.value) == sentence


def test_sentence_starts_with_the_place_of_the_settings():
    with pytest.raises(InputError, match=r"^organisms\.hela\.inner\.size: found"):
        check_schema({"inner": {"size": "x"}}, SCHEMA, "organisms.hela")


def test_fixed_length_in_words():
    schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    assert describe_allowed(schema) == "a list (2 entries, each a number)"
