"""What must hold for definitions whatever stands in them, and the material that the fuzzers make them of.

`check` is the judge of tests/unit/definitions/test_fuzz.py and of the programs beside this file. Owns no randomness.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from supervisor.definitions import coverage, resources, section_keys, unitfile
from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import Problem, UserError
from supervisor.paths import Layout
from supervisor.render.tree import tree
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.image import Layer
from tests.unit.render.sample import FACTS, IMAGE

EXAMPLES = Path(__file__).parents[1] / "examples"
HOME = "/etc/ctr"

#: The section that makes a file of this kind, and what it cannot be without.
KINDS = {
    ".container": ("Container", "Image=localhost/x"),
    ".pod": ("Pod", ""),
    ".network": ("Network", ""),
    ".volume": ("Volume", ""),
    ".image": ("Image", "Image=localhost/x"),
    ".build": ("Build", "ImageTag=localhost/x\nSetWorkingDirectory=unit"),
}
#: Valid definitions beside the one that is tried, for names to refer to.
NEIGHBOURS = {
    "db.container": "[Container]\nImage=localhost/db\n",
    "web@.container": "[Container]\nImage=localhost/web\nHostName=%i\n[Install]\nDefaultInstance=0\n",
    "apps.pod": "[Pod]\n",
    "shop.network": "[Network]\n",
    "data.volume": "[Volume]\n",
    "tool.image": "[Image]\nImage=localhost/tool\n",
    "site.build": "[Build]\nImageTag=localhost/site\nSetWorkingDirectory=unit\n",
}
HOST = Context(systemd=257, selinux=True, apparmor=True, host={"H": "host.example", "l": "host", "m": "0" * 32})
LAYERS = (Layer("erofs", "/img/1", "/img/1.tar"), Layer("directory", "/img/2"))

#: Values that have broken parsers before.
NASTY = (
    *("", " ", "0", "1", "-1", "00", "+1", "1.", ".5", "1e9", "0x10", "1_000", "٣", "²", "nan", "inf", "infinity"),
    *("9" * 25, "9" * 5000, "-" + "9" * 40, str(2**63), str(2**63 - 1), str(2**64), str(2**32 - 1), "1." + "9" * 400),
    *("%", "%%", "%%%", "%i", "%I", "%j", "%n", "%N", "%H", "%h", "%z", "%é", "x%", "$", "$$", "$$$", "${", "${}"),
    *("$A", "${A}", "$${A}", "a$b", "'", '"', "''", '""', "'a", 'a"', "\"a'b\"", "\\", "\\\\", "\\x", "\\x0"),
    *("\\x00", "\\xff", "\\n", "\\u0000", "\\ud800", "\\U00110000", "\\U0001f600", "\\777", "a\\ b", "\\s", "\t"),
    *("\u00a0", "\u2028", "é", "💥", "\u0000", "\u0007", "\u001b[31m", "\u007f", "\u0085", "\ufeff", "\ud7ff"),
    *("\U0010ffff", "a\u0301", "ﬁ", "İ", "ß", "=", "==", "a=", "=b", "a=b=c", "a==", ",", ",,", "a,", ",a", "a,,b"),
    *(":", "::", ":::", "a:", ":a", "a:b:c:d:e", "/", "//", "/..", "/../..", "/.", ".", "..", "./", "../x", "/a//b/"),
    *("~", "~/x", "/a:/b:", "/a::ro", ":/b:ro", "/a b", "-/x", "a/b:c@d", "@", "a@", "a@sha256:", "[", "]", "[]"),
    *("{}", "[1]", '["a"]', '["a",', "[" * 300, '{"a":1}', "null", "true", "yes", "no", "YES", "maybe", "on"),
    *("TRUE ", "none", "host", "auto", "auto:", "auto:size=", "keep-id:uid=x", "private", "db.container"),
    *("none.container", ".container", "shop.network", "shop.network:", "shop.network:ip=", "data.volume"),
    *("data.volume:/x", "tool.image", "site.build", "apps.pod", "web@1.container", "web@.container", "x.kube"),
    *("a.b.c", "80:80", "80-90:80", "65536", "0:0", "-80", "80-", "80/x", "1-65535:1-65535", "[::1]:80:80", "[::1"),
    *("::1:80:80", "1.2.3.4", "1.2.3", "01.2.3.4", "::1", "::ffff:1.2.3.4", "fe80::1%eth0", "10.0.0.0/8"),
    *("10.0.0.1/33", "10.0.0.0/-1", "type=bind", "type=bind,source=,target=", "type=tmpfs,destination=/x,size=9e9"),
    *('type=bind,"source=/a,b",dst=/c', "type=volume,source=a,destination=/b,subpath=../.."),
    *('type=glob,src=*,dst=/x"', "type=image,source=x,destination=/", "nofile=1:2", "nofile=:", "nofile=-2"),
    *("net.x=", "net..x=1", "kernel.shmmax", "cap_x", "CAP_", "~CAP_CHOWN", "ALL", "1h 1x", "1 h1h", "h", "1min 30s"),
    *("99999999999999y", "-1s", "50%", "101%", "%5", "1-3,5", "3-1", "1-", "9" * 9 + "-" + "9" * 10, "0:0:1"),
    *("0:0:0", "0:4294967295:1", "0:1:4294967295", "a:b:c", "0:@1000:1", "+g:0:1", "1:2", "--memory", "--memory=1"),
    *("--", "-", "-e", "-e A=1", "--env='", "--no-such-thing", "--gpus all", "--mount=type=bind"),
    *("-v=/a:/b -v /a:/b", "nvidia.com/gpu=all", "vendor.com/class=", "=x", "/dev/null:/dev/x:rwmx", "SIGRTMIN+99"),
    *("SIGRTMAX-1", "64", "65", "a" * 5000, "a " * 2000, "=" * 3000, "," * 3000, ":" * 3000, "/" * 3000),
    *("\\\\" * 1500, '"a"' * 1000, "%" * 3001),
)  # fmt: skip

#: Warnings of a file that is not read at all, which have no line.
_UNREAD = re.compile("is a template, and no instance of it is here|is no definition, and passed over")
#: What the units that are written for a container consist of.
SECTIONS = frozenset({"Unit", "Service", "Install", "Timer", "Mount", "X-Container", "X-Probe"})
#: Seconds of this process that a directory of a few files may take; a hundredth is usual.
LIMIT = 2.0


def keys() -> tuple[tuple[str, str, str], ...]:
    """Suffix of a file, section and key, for every key that can stand in a file of ours."""
    found = [
        (suffix, section, key.name)
        for suffix, (own, _) in KINDS.items()
        for section in (own, "Install", "Quadlet")
        for key in coverage.keys(section)
    ]
    found += [(".container", "X-Ctr", key.name) for key in coverage.keys("X-Ctr")]
    found += [(".container", "Unit", name) for name in sorted({*section_keys.UNIT, *section_keys.UNIT_REFUSED})]
    service = {*section_keys.SERVICE, *section_keys.SERVICE_REFUSED, *resources.KEYS, "Type", "RemainAfterExit"}
    return (*found, *((".container", "Service", name) for name in sorted(service)))


def examples() -> Iterator[tuple[str, UnitFile]]:
    """Suffix and content of every definition among the examples."""
    for path in sorted(EXAMPLES.glob("**/*")):
        if path.suffix in KINDS:
            yield path.suffix, unitfile.parse(path.name, path.read_bytes())


def definition(suffix: str, lines: list[tuple[str, str, str]]) -> str:
    """The text of a definition with *lines* (section, key, value) after what it cannot be without."""
    own, needed = KINDS[suffix]
    text = [f"[{own}]", needed]
    for section, key, value in lines:
        text += [f"[{section}]", f"{key}={value}"]
    return "\n".join(text) + "\n"


def check(files: Mapping[str, str | bytes], limit: float = LIMIT) -> Loaded:
    """Compile *files* (name in the directory to content) beside the neighbours, and judge what comes out.

    Nothing is raised, nothing takes long; each refusal says file, line and key, and what is at that place; what was
    compiled survives storage and is rendered, or refused by a `UserError`. Raises AssertionError else.
    """
    content = {name: text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
               for name, text in (NEIGHBOURS | dict(files)).items()}  # fmt: skip

    def read(path: str) -> bytes | tuple[str, ...]:
        below = path.removeprefix(HOME).strip("/")
        if below in content:
            return content[below]
        prefix = f"{below}/" if below else ""
        names = {name.removeprefix(prefix).split("/")[0] for name in content if name.startswith(prefix)}
        if not names:
            raise FileNotFoundError(2, "No such file or directory")
        return tuple(sorted(names))

    began = time.process_time()
    loaded = load(HOME, read, HOST)
    taken = time.process_time() - began
    assert taken < limit, f"took {taken:.1f} s"
    texts = {f"{HOME}/{name}": text for name, text in content.items()}
    for problem in loaded.problems:
        assert problem.line or problem.file not in texts, f"names no line: {problem!r}"
    for problem in (*loaded.problems, *loaded.warnings):
        _check_problem(problem, texts)
    refused = {problem.file for problem in loaded.problems}
    for one in (*loaded.containers, *loaded.networks, *loaded.volumes, *loaded.pods, *loaded.images, *loaded.builds):
        assert one.source not in refused, f"{one.source} is refused, and compiled"
        if one.source.removeprefix(f"{HOME}/") in files:
            assert codec.loads(type(one), codec.dumps(one)) == one
            if isinstance(one, Container):
                _check_rendered(one)
    return loaded


def _check_problem(problem: Problem, content: Mapping[str, bytes]) -> None:
    text = problem.message
    assert text and text.isprintable(), f"not fit to print: {problem!r}"
    assert len(text) < 1000, f"floods: {problem!r}"
    if problem.file not in content or not problem.line:
        assert not problem.key, f"has a key and no line: {problem!r}"
        assert problem.file not in content or _UNREAD.match(text), f"names no line: {problem!r}"
        return
    decoded = content[problem.file].decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", decoded)
    assert problem.line <= len(lines), f"there is no such line: {problem!r}"
    if problem.key:
        line = lines[problem.line - 1].strip(" \t")
        # A backslash may join a line to the key as well as to its value: then the key only begins here.
        begins = line.endswith("\\") and problem.key.startswith(line[:-1])
        assert begins or line.startswith(problem.key), f"the key is not in that line: {problem!r}: {line[:80]!r}"
    else:
        _check_keyless(problem, unitfile.parse(problem.file, content[problem.file]))


def _check_keyless(problem: Problem, file: UnitFile) -> None:
    """Only a line that is no assignment, and a section as a whole, have no key. A file may lack the section."""
    headers = {section.line for section in file.sections}
    own = KINDS.get(posixpath.splitext(problem.file)[1], ("", ""))[0]
    has_none = own and all(section.name != own for section in file.sections)
    is_whole = problem.line in headers or (has_none and problem.line == 1)
    assert problem in file.problems or is_whole, f"names no key: {problem!r}"


def _check_rendered(container: Container) -> None:
    """What systemd and the runtime are given is well-formed: no value has become a line of its own."""
    image, layers = (IMAGE, LAYERS) if container.image else (None, ())
    try:
        made = tree(container, image, layers, FACTS, Layout())
    except UserError:
        return
    for unit in made.units:
        parsed = unitfile.parse(unit.path, unit.text)
        assert parsed.problems == (), f"{unit.path}: {parsed.problems}"
        assert {section.name for section in parsed.sections} <= SECTIONS
