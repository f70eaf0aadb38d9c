"""Check settings against their JSON schema, and report the first mistake in one sentence."""

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
    "boolean": "true or false",
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


# stricter than JSON Schema: 1.0 is no whole number, and neither infinity nor NaN is a number
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
        One sentence about one mistake, unknown keys first.
    """
    errors = sorted(_Validator(schema).iter_errors(settings), key=_is_known_key)
    if errors:
        raise InputError(_describe_error(errors[0], key))


def describe_value(value: object) -> str:
    """Write a value of the configuration as it appears in messages.

    >>> print(*map(describe_value, ["x", None, [1, 2.5], {"a": 1}]))
    "x" null [1, 2.5] a mapping
    """
    return "a mapping" if isinstance(value, Mapping) else json.dumps(value, ensure_ascii=False, default=str)


def join_words(words: Sequence[str]) -> str:
    """Join alternatives with commas and "or".

    >>> join_words(["auto", "cpu", "cuda"])
    'auto, cpu or cuda'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def suggest(name: object, known: Iterable[str]) -> str:
    """Suggest what an unknown name may have meant, or list the known names.

    >>> suggest("hella", ["cho", "hela"])
    'did you mean hela?'
    >>> suggest("mouse", ["cho", "hela"])
    'known are cho, hela'
    """
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"


def name_unknown(name: object, known: Iterable[str]) -> str:
    """Report an unknown name and suggest what it may have meant.

    >>> name_unknown("hella", ["cho", "hela"])
    'found "hella", which is unknown; did you mean hela?'
    """
    return f"found {describe_value(name)}, which is unknown; {suggest(name, known)}"


def describe_allowed(schema: Mapping) -> str:
    """Describe in words what a schema allows.

    >>> describe_allowed({"type": ["integer", "null"], "minimum": 1})
    'a whole number (at least 1) or null'
    >>> describe_allowed({"enum": ["cpu", "cuda"]})
    'cpu or cuda'
    >>> describe_allowed({"enum": ["tissue", None]})
    'tissue or null'
    >>> describe_allowed({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3})
    'a list (2 to 3 entries, each a number)'
    """
    if "enum" in schema:
        return join_words(["null" if value is None else str(value) for value in schema["enum"]])
    return join_words([_describe_type(name, schema) for name in _list_types(schema)])


def _is_known_key(error: jsonschema.ValidationError) -> bool:
    return error.validator != "additionalProperties"


def _describe_error(error: jsonschema.ValidationError, prefix: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    key = f"{prefix}{path}".lstrip(".")
    if not _is_known_key(error):
        known = error.schema["properties"]
        name = next(name for name in error.instance if name not in known)
        removed = error.schema.get("removed", {}).get(name)
        hint = f"no longer a key; {removed}" if removed else f"unknown key; {suggest(name, known)}"
        return f"{f'{key}.{name}'.lstrip('.')}: {hint}"
    found, allowed = describe_value(error.instance), describe_allowed(error.schema)
    return f"{key}: found {found}; allowed is {allowed}{_suggest_number(error.instance, error.schema)}"


def _suggest_number(value: object, schema: Mapping) -> str:
    """Suggest how to write a number that YAML reads as a text, such as 1e-3."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    wanted = {"integer", "number"}.intersection(_list_types(schema))
    return f" (write {number:.10g}, without quotes)" if wanted and math.isfinite(number) else ""


def _list_types(schema: Mapping) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _describe_type(name: str, schema: Mapping) -> str:
    details = ""
    if name in ("integer", "number"):
        details = ", ".join(text.format(schema[limit]) for limit, text in LIMITS.items() if limit in schema)
    if name == "string":
        details = f"such as {join_words(schema['examples'])}" if "examples" in schema else schema.get("title", "")
    if name == "array":
        different = ", all different" if schema.get("uniqueItems") else ""
        details = f"{_describe_length(schema)} entries{different}, each {describe_allowed(schema['items'])}"
    return f"{TYPE_NAMES[name]} ({details})" if details else TYPE_NAMES[name]


def _describe_length(schema: Mapping) -> str:
    least, most = schema["minItems"], schema.get("maxItems")
    if most is None:
        return f"{least} or more"
    return str(least) if least == most else f"{least} to {most}"
