"""Dependencies read from unit files: what systemd would make of them, or that only it can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.inventory.dependencies import Files, settings
from supervisor.paths import Layout

ETC, RUN, USR = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"
OWN = "ctr@web.service.d/50-ctr.conf"


def files(root: Path, texts: dict[str, str]) -> Files:
    for path, text in texts.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Files(Layout(str(root)))


def test_the_drop_in_and_the_template(tmp_path: Path) -> None:
    """Of [Unit], dependencies alone, with specifiers; nothing of [Install] or of what is a comment."""
    found = files(
        tmp_path,
        {
            f"{USR}/ctr@.service": "[Unit]\nWants=ctr-log.socket\n[Install]\nWants=no.service\n",
            f"{ETC}/{OWN}": (
                "[Unit]\nDescription=a=b\n# Wants=no.service\nRequires = ctr-netns@%i.service ctr@db.service\n"
                "After=ctr@db.service\nPartOf=ctr@shop.target\nBindsTo=ctr-healthy@.service\nWants=junk\n"
                "[X-Container]\nWants=no.service\n"
            ),
        },
    )
    assert found.relations("web") == {
        "Wants": ("ctr-log.socket",),
        "Requires": ("ctr-netns@web.service", "ctr@db.service"),
        "After": ("ctr@db.service",),
        "PartOf": ("ctr@shop.target",),
        "BindsTo": ("ctr-healthy@web.service",),
    }


def test_drop_ins_of_people_count(tmp_path: Path) -> None:
    """systemctl edit, those of all instances, those of this boot; of two called alike, the one in /etc."""
    found = files(
        tmp_path,
        {
            f"{ETC}/ctr@web.service.d/override.conf": "[Unit]\nWants=a.service\n",
            f"{RUN}/ctr@web.service.d/override.conf": "[Unit]\nWants=no.service\n",
            f"{RUN}/ctr@web.service.d/more.conf": "[Unit]\nWants=b.service\n",
            f"{USR}/ctr@.service.d/all.conf": "[Unit]\nWants=c.service\n",
            f"{USR}/ctr@.service.d/more.conf": "[Unit]\nWants=no.service\n",
            f"{ETC}/ctr@web.service.d/readme": "[Unit]\nWants=no.service\n",
        },
    )
    assert set((found.relations("web") or {})["Wants"]) == {"a.service", "b.service", "c.service"}


def test_links(tmp_path: Path) -> None:
    """In both directions, and by another name of a container."""
    etc = tmp_path / ETC
    for directory in ("ctr@shop.target.wants", "ctr@web.service.requires"):
        (etc / directory).mkdir(parents=True)
    (etc / "ctr@shop.target.wants/ctr@web.service").symlink_to("/usr/lib/systemd/system/ctr@.service")
    (etc / "ctr@web.service.requires/store@db.service").symlink_to("/usr/lib/systemd/system/ctr@.service")
    (etc / "store@db.service").symlink_to("/usr/lib/systemd/system/ctr@.service")
    found = files(tmp_path, {})
    assert found.relations("web") == {"Requires": ("ctr@db.service",)}
    assert found.links("ctr@shop.target") == {"Wants": ("ctr@web.service",)}
    assert found.linked_from("ctr@web.service") == {"ctr@shop.target"}
    assert found.linked_from("ctr@db.service") == {"ctr@web.service"}
    assert found.relations("db") is None


def test_mounts_on_the_way_to_a_volume(tmp_path: Path) -> None:
    """Those that there is a unit of, at the path or above it."""
    mounts = {
        f"run/systemd/generator/{name}.mount": "" for name in ("-", "srv", r"srv-my\x20data-\xc3\xa9", "srv-other")
    }
    found = files(tmp_path, mounts | {f"{ETC}/{OWN}": '[Unit]\nRequiresMountsFor="/srv/my data/é/x" /var\n'})
    expected = {"srv.mount", r"srv-my\x20data-\xc3\xa9.mount"}
    relations = found.relations("web") or {}
    assert (set(relations["Requires"]), set(relations["After"])) == (expected, expected)


@pytest.mark.parametrize(
    "text",
    [
        "[Unit]\nWants=a.service \\\n b.service\n",
        "[Unit]\nWants='a.service'\n",
        "[Unit]\nWants=%H.service\n",
        "[Unit]\nRequiresMountsFor='/srv\n",
        "[Service]\nStateDirectory=x\n",
        "\udcff",
    ],
)
def test_what_only_systemd_can_tell(tmp_path: Path, text: str) -> None:
    """Is not guessed."""
    path = tmp_path / ETC / OWN
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert Files(Layout(str(tmp_path))).relations("web") is None


def test_a_masked_container_is_for_systemd_to_tell(tmp_path: Path) -> None:
    """As is one with a unit file of its own."""
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "ctr@web.service").symlink_to("/dev/null")
    assert files(tmp_path, {f"{ETC}/{OWN}": ""}).relations("web") is None


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    """Or it is said that it cannot."""
    try:
        assert all("\n" not in key for key, _ in settings(text))
    except Exception as error:
        assert type(error).__name__ == "_UnclearError"
