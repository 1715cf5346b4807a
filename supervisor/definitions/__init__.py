"""Text in, spec out: what people write compiles into `supervisor.spec.container.Container`. Pure: opens no file."""
