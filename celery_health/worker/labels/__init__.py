"""Metric labels that a project opts in: which task has which, and the runs that are counted under them."""
