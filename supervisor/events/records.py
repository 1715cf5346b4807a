"""Raw records: what our own short-lived programs write into the journal where something happens, as root.

The supervisor makes events of them, now or when it is back. Plain strings: cleanup and probes import this, where
every millisecond counts. Pure.
"""

from __future__ import annotations

#: For ``journalctl MESSAGE_ID=…``; random, as systemd-id128(1) makes them.
RUN_ENDED = "8d113d3ae09f4a05b5eeb8e9ea58b0ea"
"""ctr-cleanup: how a run ended, as systemd told it (``$EXIT_CODE`` … in systemd.exec(5))."""
DEPLOYED = "4ea1bf0f3f024998b8e124b9ebc647d7"
"""deploy: a container is new."""
REMOVED = "23111db8a987423cbce8992262f303a5"
PULLED = "c1fd96ec916d4a4fb6779f522a8fd32e"
"""ctr-store: an image is in the store."""
PAUSED = "d21cba77ac7144f2ae2c78fb1db6c7d8"
"""ctrctl: a container was frozen, or goes on."""
UNPAUSED = "b20b2fcdb494442cb114bbcd9948d3fa"
BECAME_HEALTHY = "dc13d1a85e25412a9630a38bfede0cdb"
BECAME_UNHEALTHY = "d3abc5dc989c4333bec6637487dd082c"

#: Fields of records and of events.
CONTAINER = "CTR_CONTAINER"
INVOCATION = "CTR_INVOCATION_ID"
EXIT_CODE, EXIT_STATUS = "CTR_EXIT_CODE", "CTR_EXIT_STATUS"
RESULT = "CTR_RESULT"
OOM = "CTR_OOM"
DETAIL = "CTR_DETAIL"
