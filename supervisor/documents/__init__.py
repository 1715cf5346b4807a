"""Texts in JSON or YAML, read into values that know their place: for what others write and we only read. Pure."""
