"""The configuration: merged, checked, looked up. Nothing else in the library knows of it."""
