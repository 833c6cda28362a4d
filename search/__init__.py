"""The local search: which configs to measure, and what was found, as a log that can be trusted."""
