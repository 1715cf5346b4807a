"""ctr.container(5): the manual page of definitions, made from the coverage table.

    PYTHONPATH=. python3 contrib/man.d/quadlet.py > contrib/man/ctr.container.5

A test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from supervisor.definitions import coverage
from supervisor.definitions.coverage import Key, State

#: Sections in the order of the page, with what stands above their keys.
SECTIONS = (
    ("Container", "One container; the only section that a .container file needs, with Image= or Rootfs=."),
    ("Pod", "A pod: containers that share a network, ipc and uts namespaces. It becomes ctr@NAME.target."),
    ("Network", "A network. It needs no key at all."),
    ("Volume", "A volume, kept until 'ctrctl volume rm'. It needs no key at all."),
    ("Image", "An image that 'ctrctl apply' fetches; containers say Image=NAME.image."),
    ("Build", "An image that 'ctrctl apply' builds with buildah; containers say Image=NAME.build."),
    ("X-Ctr", "What podman has no key for; it passes over sections that begin with X-."),
    ("Quadlet", "How the other sections are read."),
    ("Install", "What starts this, as systemctl enable would have it."),
    (coverage.ANY, "Keys of every section but [Unit], [Service] and [Install]."),
    ("Kube", "Kubernetes YAML."),
)

HEAD = r"""
.\" Made by contrib/man.d/quadlet.py from the coverage table; edit those.
.TH CTR.CONTAINER 5 "" "ctr" "ctr manual"
.SH NAME
ctr.container, ctr.pod, ctr.network, ctr.volume, ctr.image, ctr.build \- definitions of containers
.SH SYNOPSIS
.I /etc/ctr/NAME.container
.br
.I /etc/ctr/NAME.container.d/*.conf
.br
.IR /etc/ctr/NAME.pod ,
.IR NAME.network ,
.IR NAME.volume ,
.IR NAME.image ,
.I NAME.build
.SH DESCRIPTION
The syntax is that of podman's Quadlet
.RB ( podman\-systemd.unit (5)),
and so is the meaning of every key, but for what is said here. Files are copied from
.I /etc/containers/systemd
to
.I /etc/ctr
as they are;
.B ctrctl check
tells with file and line what is refused, and what has no effect.
.B ctrctl apply
deploys all of them, and
.B systemctl enable \-\-now ctr\-apply.path
has that done whenever one changes.
.PP
A container is the unit
.BI ctr@ NAME .service\fR,
whatever podman calls it; NAME is the name of the file without suffix, or ContainerName=. [Unit], [Service] and
[Install] are systemd's own. In them the names of other definitions
.RI ( db.container )
stand for the units of those. What would break the way systemd takes the container over (ExecStart=, Type=) is refused;
limits
.RB ( systemd.resource\-control (5))
are set on the scope that holds its processes.
.SH KEYS
The state of a key is shown by
.BI "ctrctl check \-\-explain " KEY
too.
""".lstrip("\n")

TAIL = r"""
.SH SEE ALSO
.BR ctrctl (1),
.BR ctr@.service (8),
.BR podman\-systemd.unit (5),
.BR systemd.unit (5),
.BR systemd.service (5),
.BR systemd.resource\-control (5)
""".lstrip("\n")


def page() -> str:
    """The page's text."""
    return HEAD + "".join(part for section in SECTIONS for part in _section(*section)) + TAIL


def _section(section: str, about: str) -> Iterator[str]:
    keys = sorted((key for key in coverage.TABLE if key.section == section), key=lambda key: key.name.lower())
    if not keys:
        return
    yield f".SS {'All sections' if section == coverage.ANY else f'[{section}]'}\n{_escaped(about)}\n"
    reasons = {key.reason for key in keys}
    if len(keys) > 2 and len(reasons) == 1 and keys[0].state is State.REFUSED:
        # One reason for all of them: they are named, not told one by one.
        yield f".PP\nRefused: {', '.join(_escaped(key.name) + '=' for key in keys)}: {_escaped(keys[0].reason)}.\n"
        return
    for key in keys:
        yield _entry(key)


def _entry(key: Key) -> str:
    often = "; may be given several times" if key.repeatable and key.state is State.DONE else ""
    words = {State.DONE: "", State.REFUSED: "Refused: ", State.NO_EFFECT: "Accepted without effect: "}
    reason = f"\n{words[key.state]}{_escaped(key.reason)}." if key.reason else ""
    return f".TP\n.B {_escaped(key.name)}=\n{_escaped(key.meaning)}{often}.{reason}\n"


def _escaped(text: str) -> str:
    """*text* as roff prints it; no line of it is a request, since none begins with it alone."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    sys.stdout.write(page())
