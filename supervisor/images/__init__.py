"""Images: references, the content store, layers made ready to mount, and the worker that pulls, loads and imports."""
