"""What needs what: dependencies, root causes, start-up timelines, and their pictures. Pure."""
