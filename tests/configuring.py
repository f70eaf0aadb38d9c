"""Resolving the settings of one organism as the workflow does, for the tests of the configuration."""

from running import REPOSITORY
from sketchscope.config.resolve import resolve


def resolve_one(section, name="mine", **top):
    """The settings of the organism `name` whose section in config.yaml is `section`."""
    return resolve({"organisms": {name: section}, **top}, REPOSITORY)["organisms"][name]
