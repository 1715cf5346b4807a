"""Which images a Containerfile starts from."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.images.containerfile import bases


def of(text: str, target: str = "", **arguments: str) -> tuple[str, ...]:
    return bases(textwrap.dedent(text), arguments, target)


def test_stages_are_no_images() -> None:
    """By name and by number, in FROM and in --from=; scratch is nothing."""
    text = """\
        FROM golang:1.22 AS Build
        RUN make
        FROM scratch
        COPY --from=build /a /a
        COPY --from=0 /b /b
        COPY --chown=1:1 --from=quay.io/tools/x:1 /c /c
        RUN --mount=type=bind,from=docker.io/library/alpine,target=/m --mount=type=cache,target=/d true
    """
    assert of(text) == ("golang:1.22", "quay.io/tools/x:1", "docker.io/library/alpine")


def test_only_what_the_target_needs() -> None:
    """A stage that is not reached is not built, so its image is not wanted."""
    text = """\
        FROM one AS a
        FROM two AS b
        FROM three AS c
        COPY --from=a / /
    """
    assert of(text) == ("one", "three")
    assert of(text, "b") == of(text, "1") == ("two",)
    assert of(text, "unknown") == ("one", "three")


def test_arguments() -> None:
    """Those before the first FROM, replaced by what the definition says; with defaults and alternatives."""
    text = """\
        # syntax=docker/dockerfile:1
        ARG TAG=1.0 NAME="web"
        ARG FULL=quay.io/${NAME}:$TAG
        FROM --platform=$BUILDPLATFORM ${FULL}
        FROM other:${MISSING:-7}
        COPY --from=${TAG:+yes/it:is} / /
    """
    assert of(text, "0") == ("quay.io/web:1.0",)
    assert of(text, "0", TAG="2", NAME="db") == ("quay.io/db:2",)
    assert of(text) == ("other:7", "yes/it:is")


def test_text_that_is_no_instruction() -> None:
    """Comments, continued lines with comments inside, another escape character, here-documents."""
    text = """\
        # escape=`
        # FROM comment
        FROM one AS `
        # FROM inside
        a
        RUN <<EOF cat <<-'END'
        FROM heredoc
        EOF
          FROM another
          END
        COPY <<"A.txt" /x
        FROM third
        A.txt
        from two
        RUN echo FROM three `
            FROM four
    """
    assert of(text, "a") == ("one",)
    assert of(text) == ("two",)


@pytest.mark.parametrize(
    "line", ["RUN cat <<<word", "RUN cat <<< word", "RUN echo $((1<<N)) $((1 <<N))", "RUN a 2<<EOF\nFROM x\nEOF"]
)
def test_shifts_and_here_strings(line: str) -> None:
    """They have no text of their own; a here-document for another descriptor has."""
    assert of(f"FROM one AS a\n{line}\nFROM two\nCOPY --from=a / /\n") == ("one", "two")


def test_any_space_is_one() -> None:
    """Also behind an instruction."""
    assert of("FROM\tone\tAS\ta\n") == ("one",)


@pytest.mark.parametrize(
    "name", ["x@sha256:" + "a" * 64, "docker-archive:/x", "oci:./x", "docker://x", "$UNKNOWN", "", "scratch", "3"]
)
def test_what_the_builder_finds_itself(name: str) -> None:
    """Digests, transports, and what is not known here."""
    assert of(f"FROM {name}\n") == ()


@given(
    st.text(alphabet=st.sampled_from("FROM ARGCOPYRUN--from=\\\n#<EOF${}:-+\"'ab"), max_size=200), st.text(max_size=5)
)
def test_never_fails(text: str, target: str) -> None:
    """Whatever the bytes: the builder is who judges."""
    assert all(isinstance(name, str) and name for name in bases(text, {}, target))
