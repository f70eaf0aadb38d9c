"""Write docs/configuration.md, the list of all keys, from the schemas and the scales."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.config.layers import list_scales, merge, read_yaml
from sketchscope.config.schema import LIMITS

REPOSITORY = Path(__file__).parents[1]
SCALES = ("demo", "cluster", "paper")
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "mapping",
    "boolean": "true or false",
    "null": "null",
}
HEAD = """# Configuration

Every key of `config.yaml`: what is allowed, its default and its meaning. This page is made by
`python docs/make_configuration.py` from [workflow/schemas](../workflow/schemas) and
[resources/scales](../resources/scales); change those, not this page.

Settings are merged in this order, and later ones win: the defaults below, the scale (`demo`, `cluster` or `paper`), the
preset in [resources/organisms](../resources/organisms), your `config.yaml`. Where a scale changes a default, its value
stands beside the default; where there is none, every scale sets the value. A preset may change any value, also for one
scale only.

Lists with one entry per axis are in the order z, y, x, or y, x in 2D. Units are part of the meaning. All settings are
checked before any job starts, and a mistake is reported in one sentence.
"""


def make_page() -> str:
    """Make the whole page."""
    scales = {scale: merge(*list_scales(scale, REPOSITORY / "resources/scales").values()) for scale in SCALES}
    shared = section("## Top level", "", read_yaml(REPOSITORY / "workflow/schemas/config.yaml"), {})
    organism = section("## One organism", "", read_yaml(REPOSITORY / "workflow/schemas/organism.yaml"), scales)
    return "\n".join([HEAD.rstrip(), *shared, *organism]) + "\n"


def section(heading: str, path: str, schema: Mapping[str, Any], scales: Mapping[str, Mapping]) -> Iterator[str]:
    """Yield a heading, a description and a table of keys, then the same for every section within."""
    yield f"\n{heading}\n\n{schema['description']}\n\n| key | allowed | default | meaning |\n| --- | --- | --- | --- |"
    inner = {key: value for key, value in schema["properties"].items() if "properties" in value}
    for key, value in schema["properties"].items():
        if key not in inner:
            meaning = value["description"] + describe_meaning(value)
            cells = (f"`{key}`", describe_allowed(value), describe_default(key, value, scales), meaning)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    for key, value in inner.items():
        of_section = {scale: settings.get(key, {}) for scale, settings in scales.items()}
        yield from section(f"### `{path}{key}`", f"{path}{key}.", value, of_section)


def describe_allowed(schema: Mapping[str, Any]) -> str:
    """Say in words which values a schema allows."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    names = [f"`{schema['title']}`" if name == "string" and "title" in schema else TYPES[name] for name in types]
    parts = [" or ".join(names), *describe_limits(schema)]
    if "array" in types:
        parts.append(f"each entry a {describe_allowed(schema['items'])}")
    if "examples" in schema:
        parts.append("such as " + " or ".join(f"`{example}`" for example in schema["examples"]))
    return ", ".join(parts)


def describe_limits(schema: Mapping[str, Any]) -> list[str]:
    """Say in words within which limits a number lies and how many entries a list has."""
    limits = [words.format(schema[key]) for key, words in LIMITS.items() if key in schema]
    if "minimum" in schema and "maximum" in schema:
        limits = [f"{schema['minimum']} to {schema['maximum']}"]
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    if most is not None:
        limits.append(f"{fewest} entries" if fewest == most else f"{fewest} to {most} entries")
    return [*limits, *(["entries all different"] if schema.get("uniqueItems") else [])]


def describe_default(key: str, schema: Mapping[str, Any], scales: Mapping[str, Mapping[str, Any]]) -> str:
    """Show the default of a key, if it has one, and its value at every scale that sets it."""
    default = [show(schema["default"])] if "default" in schema else []
    of_scales = [f"{scale} {show(settings[key])}" for scale, settings in scales.items() if key in settings]
    return "; ".join(default + of_scales)


def describe_meaning(schema: Mapping[str, Any]) -> str:
    """Say to which organisms a key means something, if not to all."""
    stains = [f" For {' and '.join(schema['stains'])} only."] if "stains" in schema else []
    simulators = [f" For the simulator {' and '.join(schema['simulators'])} only."] if "simulators" in schema else []
    return "".join(stains + simulators)


def show(value: object) -> str:
    """Write a value as YAML reads it: small numbers without an exponent, which YAML would take for a text."""
    tiny = isinstance(value, float) and "e" in repr(value)
    return f"`{f'{value:.10f}'.rstrip('0') if tiny else json.dumps(value)}`"


if __name__ == "__main__":
    (REPOSITORY / "docs/configuration.md").write_text(make_page(), encoding="utf-8")
