"""Public data sets and published models, fetched and checked."""
