"""Builds the demo images; see `build`, the program beside this package."""
