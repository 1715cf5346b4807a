"""What can happen to a container, and its form in the journal. Pure."""
