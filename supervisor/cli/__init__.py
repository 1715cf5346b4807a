"""ctrctl: the command a person types. Verb modules turn words into calls on the rooms below and decide nothing."""
