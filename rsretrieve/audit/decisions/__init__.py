"""Decisions of several reviewers on the same tiles."""
