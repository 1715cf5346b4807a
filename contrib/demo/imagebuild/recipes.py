"""What each demo image contains. Data only: nothing here reads a file or runs a program.

Images are made of Debian packages that are unpacked, never installed: no maintainer script runs, so the
users a script would add are written here, and programs that only scripts need are left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """One line of /etc/passwd and /etc/group; user and group share the number."""

    name: str
    number: int
    home: str
    shell: str = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with an owner of its own. *mode* is octal permission bits."""

    path: str
    mode: int
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image.

    *packages* are the names given to apt; what they depend on comes along. *base* is the recipe whose layer lies
    below. *exclude* are path prefixes left out of the packages. *links* are (path, target) symbolic links.
    The remaining fields are the OCI image configuration's.
    """

    name: str
    packages: tuple[str, ...]
    base: str | None = None
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    applets: bool = False
    """One link to busybox for each applet that it lists."""
    exclude: tuple[str, ...] = ()
    programs: str | None = None
    """A pattern of paths; what matches it is linked into /usr/bin."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    working_dir: str = "/"
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str | None = None


#: Dependencies that only maintainer scripts, packaging or features unused here need. apt is told they are installed.
LEFT_OUT = (
    "adduser",
    "debconf",
    "debianutils",
    "dpkg",
    "init-system-helpers",
    "iproute2",
    "locales",
    "lsb-base",
    "mailcap",
    "media-types",
    "openssl",
    "perl",
    "perl-base",
    "postgresql-client-common",
    "postgresql-common",
    "postgresql-common-dev",
    "sensible-utils",
    "ssl-cert",
    "systemd",
    "sysvinit-utils",
    "tar",
    "ucf",
    "update-inetd",
    *(f"libllvm{major}{suffix}" for major in range(14, 22) for suffix in ("", "t64")),
)

#: What people do not look at inside a container; copyright files stay.
UNUSED_PATHS = (
    "etc/apparmor.d",
    "etc/cron.",
    "etc/default/",
    "etc/init.d",
    "etc/insserv",
    "etc/logcheck",
    "etc/logrotate.d",
    "etc/pam.d",
    "etc/ufw",
    "usr/lib/systemd",
    "usr/lib/tmpfiles.d",
    "usr/lib/sysusers.d",
    "usr/lib/*/gconv/",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/gcc",
    "usr/share/info",
    "usr/share/initramfs-tools",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/postgresql-common",
    "usr/share/vim",
)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_COMMON_USERS = (
    User("root", 0, "/root", "/bin/sh"),
    User("daemon", 1, "/usr/sbin"),
    User("www-data", 33, "/var/www"),
    User("nobody", 65534, "/nonexistent"),
)
_COMMON_DIRECTORIES = (
    Directory("dev", 0o755),
    Directory("home", 0o755),
    Directory("proc", 0o755),
    Directory("root", 0o700),
    Directory("run", 0o755),
    Directory("sys", 0o755),
    Directory("tmp", 0o1777),
    Directory("usr/bin", 0o755),
    Directory("var/log", 0o755),
    Directory("var/tmp", 0o1777),
)

_RECIPES = (
    Recipe(
        name="busybox",
        packages=("busybox-static",),
        users=_COMMON_USERS,
        directories=_COMMON_DIRECTORIES,
        links=(("bin", "usr/bin"), ("sbin", "usr/bin"), ("usr/sbin", "bin"), ("var/run", "/run")),
        applets=True,
        command=("sh",),
    ),
    Recipe(
        name="base",
        packages=("base-files", "coreutils", "dash", "grep", "libc-bin", "sed"),
        users=_COMMON_USERS,
        directories=(*_COMMON_DIRECTORIES, Directory("usr/lib64", 0o755), Directory("usr/sbin", 0o755)),
        links=(
            ("bin", "usr/bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib64"),
            ("sbin", "usr/sbin"),
            ("usr/bin/awk", "mawk"),
            ("usr/bin/sh", "dash"),
            ("var/run", "/run"),
        ),
        command=("sh",),
    ),
    Recipe(
        name="nginx",
        packages=("nginx",),
        base="base",
        users=_COMMON_USERS,
        directories=(Directory("var/lib/nginx", 0o755, 33), Directory("var/log/nginx", 0o755)),
        exclude=("etc/nginx/sites-", "var/www"),
        command=("nginx", "-g", "daemon off;"),
        ports=("8080/tcp",),
        stop_signal="SIGQUIT",
    ),
    Recipe(
        name="redis",
        packages=("redis-server",),
        base="base",
        users=(*_COMMON_USERS, User("redis", 101, "/data")),
        directories=(Directory("data", 0o755, 101),),
        entrypoint=("docker-entrypoint",),
        command=("redis-server", "/etc/redis/redis.conf"),
        working_dir="/data",
        ports=("6379/tcp",),
        volumes=("/data",),
    ),
    Recipe(
        name="postgres",
        packages=("postgresql",),
        base="base",
        users=(*_COMMON_USERS, User("postgres", 102, "/var/lib/postgresql", "/bin/sh")),
        directories=(
            Directory("var/lib/postgresql", 0o755, 102),
            Directory("var/lib/postgresql/data", 0o700, 102),
            Directory("run/postgresql", 0o2775, 102),
        ),
        exclude=("usr/lib/postgresql/*/lib/bitcode", "usr/lib/postgresql/*/lib/llvmjit"),
        programs="usr/lib/postgresql/*/bin/*",
        entrypoint=("docker-entrypoint",),
        command=("postgres",),
        environment=(("LANG", "C.UTF-8"), ("PGDATA", "/var/lib/postgresql/data")),
        ports=("5432/tcp",),
        volumes=("/var/lib/postgresql/data",),
        stop_signal="SIGINT",
    ),
    Recipe(
        name="python",
        packages=("python3",),
        base="base",
        users=_COMMON_USERS,
        environment=(("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")),
        command=("python3",),
        working_dir="/srv",
    ),
    Recipe(
        name="guestbook",
        packages=("python3", "python3-psycopg2"),
        base="base",
        users=_COMMON_USERS,
        environment=(("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")),
        command=("python3", "/srv/guestbook.py"),
        working_dir="/srv",
        ports=("8000/tcp",),
    ),
)

RECIPES = {recipe.name: recipe for recipe in _RECIPES}
#: What `build` builds when it is given no names: everything but the layer that the others stand on.
IMAGES = tuple(name for name in RECIPES if name != "base")
