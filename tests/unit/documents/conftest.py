"""Property tests here have no time limit of their own: test machines are shared, and slow is not wrong."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
