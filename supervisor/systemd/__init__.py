"""The only room that knows org.freedesktop.systemd1 and the sd_notify protocol."""
