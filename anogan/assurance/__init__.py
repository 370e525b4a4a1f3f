"""Whether a detector still deserves trust: drift, self-test, contamination, comparison, feedback."""
