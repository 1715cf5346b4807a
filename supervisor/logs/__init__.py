"""What a container's output becomes: lines, journal entries, and the state that makes each arrive once."""
