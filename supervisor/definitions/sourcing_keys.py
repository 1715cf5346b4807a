"""The rows of the coverage table for ``.image`` and ``.build`` files (podman-systemd.unit(5)). Data only."""

from __future__ import annotations

from supervisor.definitions.key import Key, done, refused

_IMAGE = (
    refused(
        "Image",
        "AllTags",
        "Fetch every tag of the repository",
        "one image is fetched, the one that containers run; write a .image file for each other one",
    ),
    done("Image", "Arch", "Architecture to fetch instead of the host's, such as arm64"),
    done("Image", "AuthFile", "File with the logins of registries (containers-auth.json(5)), an absolute path"),
    done("Image", "CertDir", "Directory with certificates and keys for the registry, an absolute path"),
    done("Image", "Creds", "Login at the registry, USER[:PASSWORD]"),
    refused(
        "Image",
        "DecryptionKey",
        "Key of an encrypted image",
        "encrypted layers are not supported; decrypt it with 'skopeo copy --decryption-key' into an oci-archive, and "
        "write Image=oci-archive:PATH",
    ),
    done("Image", "Image", "What to fetch: a reference, or oci-archive:, docker-archive:, oci: or dir: and a path"),
    done("Image", "ImageTag", "Name the image gets, and that containers run"),
    done("Image", "OS", "linux"),
    done("Image", "Policy", "When 'ctrctl apply' fetches it: always, missing, newer or never; missing otherwise"),
    done("Image", "Retry", "How often a transfer that failed is tried again, 3 times otherwise"),
    done("Image", "RetryDelay", "Time between two tries; one second, doubled each time, otherwise"),
    done("Image", "TLSVerify", "Whether the registry has to have a certificate this host trusts"),
    done("Image", "Variant", "Variant of the architecture, such as v7"),
)

_BUILD = (
    done("Build", "Annotation", "Annotations of the image, NAME=VALUE", repeatable=True),
    done("Build", "Arch", "Architecture to build for instead of the host's"),
    done("Build", "AuthFile", "File with the logins of registries (containers-auth.json(5)), an absolute path"),
    done("Build", "BuildArg", "Values for ARG, NAME=VALUE", repeatable=True),
    done("Build", "DNS", "Name servers for RUN", repeatable=True),
    done("Build", "DNSOption", "Resolver options for RUN, as in resolv.conf(5)", repeatable=True),
    done("Build", "DNSSearch", "Search domains for RUN", repeatable=True),
    done("Build", "Environment", "Environment variables of the image, NAME=VALUE", repeatable=True),
    done("Build", "File", "The recipe: a path, relative to SetWorkingDirectory="),
    done("Build", "ForceRM", "Whether the containers of a build that failed are removed, too"),
    done("Build", "GroupAdd", "Supplementary groups of RUN (needs buildah 1.33)", repeatable=True),
    done("Build", "IgnoreFile", "File with patterns of what does not belong to the context, instead of .dockerignore"),
    done("Build", "ImageTag", "Names of the image; one without a registry gets localhost/ in front", repeatable=True),
    done("Build", "Label", "Labels of the image, NAME=VALUE", repeatable=True),
    done("Build", "Network", "Network of RUN: host, as otherwise, or none"),
    done("Build", "Pull", "When the images it starts from are fetched: always, missing, newer or never"),
    done("Build", "Retry", "How often a transfer that failed is tried again, 3 times otherwise"),
    done("Build", "RetryDelay", "Time between two tries; one second, doubled each time, otherwise"),
    done("Build", "Secret", "Files for RUN --mount=type=secret, id=NAME,src=PATH", repeatable=True),
    done("Build", "SetWorkingDirectory", "The context: unit, file, or a directory"),
    done("Build", "Target", "The stage to build, otherwise the last one"),
    done("Build", "TLSVerify", "Whether the registry has to have a certificate this host trusts"),
    done("Build", "Variant", "Variant of the architecture, such as v7"),
    done("Build", "Volume", "Directories that RUN sees, HOST:CONTAINER[:ro]", repeatable=True),
)

SOURCING: tuple[Key, ...] = _IMAGE + _BUILD
