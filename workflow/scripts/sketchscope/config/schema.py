"""Settings against their JSON schema: the first mistake in one sentence."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence

import jsonschema

from ..errors import InputError

TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "a mapping of keys to values",
    "null": "null",
}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
}


def _is_number(_: object, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# stricter than JSON schema: 1.0 is no whole number, and neither infinity nor NaN is a number
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": _is_number, "integer": _is_integer}
    ),
)


def check_schema(settings: Mapping, schema: Mapping, key: str = "") -> None:
    """Check settings against their schema.

    Parameters
    ----------
    settings : mapping
        Not changed.
    schema : mapping
        JSON schema.
    key : str
        Where the settings stand in the configuration, for the message.

    Raises
    ------
    InputError
        One sentence on one mistake, unknown keys first.
    """
    errors = sorted(_Validator(schema).iter_errors(settings), key=_is_known_key)
    if errors:
        raise InputError(_sentence(errors[0], key))


def _is_known_key(error: jsonschema.ValidationError) -> bool:
    return error.validator != "additionalProperties"


def _sentence(error: jsonschema.ValidationError, prefix: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    key = f"{prefix}{path}".lstrip(".")
    if not _is_known_key(error):
        known = error.schema["properties"]
        name = next(name for name in error.instance if name not in known)
        return f"{f'{key}.{name}'.lstrip('.')}: unknown key; {near(name, known)}"
    found = shown(error.instance)
    return f"{key}: found {found}; allowed is {allowed(error.schema)}{_hint(error.instance, error.schema)}"


def _hint(value: object, schema: Mapping) -> str:
    """What to write instead of a number that YAML reads as text, such as 1e-3."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    wanted = {"integer", "number"}.intersection(_types(schema))
    return f" (write {number:.10g}, without quotes)" if wanted and math.isfinite(number) else ""


def shown(value: object) -> str:
    """How a value of the configuration is named in a message.

    >>> print(shown("x"), shown(None), shown([1, 2.5]), shown({"a": 1}))
    "x" null [1, 2.5] a mapping
    """
    return "a mapping" if isinstance(value, Mapping) else json.dumps(value, ensure_ascii=False, default=str)


def joined(words: Sequence[str]) -> str:
    """Join alternatives.

    >>> joined(["auto", "cpu", "cuda"])
    'auto, cpu or cuda'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def near(name: object, known: Iterable[str]) -> str:
    """What may have been meant by an unknown name.

    >>> near("hella", ["cho", "hela"])
    'did you mean hela?'
    >>> near("mouse", ["cho", "hela"])
    'known are cho, hela'
    """
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"


def unknown(name: object, known: Iterable[str]) -> str:
    """What was found and what may have been meant, where a name is unknown."""
    return f"found {shown(name)}, which is unknown; {near(name, known)}"


def allowed(schema: Mapping) -> str:
    """What a schema allows, in words.

    >>> allowed({"type": ["integer", "null"], "minimum": 1})
    'a whole number (at least 1) or null'
    >>> allowed({"enum": ["cpu", "cuda"]})
    'cpu or cuda'
    >>> allowed({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3})
    'a list (2 to 3 entries, each a number)'
    """
    if "enum" in schema:
        return joined([str(value) for value in schema["enum"]])
    return joined([_type_in_words(name, schema) for name in _types(schema)])


def _types(schema: Mapping) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _type_in_words(name: str, schema: Mapping) -> str:
    details = ""
    if name in ("integer", "number"):
        details = ", ".join(text.format(schema[limit]) for limit, text in LIMITS.items() if limit in schema)
    if name == "string":
        details = f"such as {joined(schema['examples'])}" if "examples" in schema else schema.get("title", "")
    if name == "array":
        different = ", all different" if schema.get("uniqueItems") else ""
        details = f"{_length_in_words(schema)} entries{different}, each {allowed(schema['items'])}"
    return f"{TYPE_NAMES[name]} ({details})" if details else TYPE_NAMES[name]


def _length_in_words(schema: Mapping) -> str:
    least, most = schema["minItems"], schema.get("maxItems")
    if most is None:
        return f"{least} or more"
    return str(least) if least == most else f"{least} to {most}"
