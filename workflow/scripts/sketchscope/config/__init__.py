"""The configuration: merged, checked, looked up. Nothing else in the library imports it."""
