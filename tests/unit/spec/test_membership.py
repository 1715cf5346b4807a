"""What a container has of its pod depends on the two, and not on what was before."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from supervisor.spec import codec
from supervisor.spec.container import Container, Entry, Membership, Mount, MountType, UnitSections
from supervisor.spec.membership import joined
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod
from supervisor.spec.userns import UserNamespace

_MOUNTS = st.lists(st.sampled_from("abc"), unique=True).map(
    lambda names: tuple(Mount(MountType.BIND, f"/{name}", "/srv") for name in names)
)
_SECONDS = st.none() | st.sampled_from((0.0, 3.0, 10.0))
_LINES = (Entry("Slice", "a.slice"), Entry("Slice", ""), Entry("ConditionUser", "x"), Entry("WantedBy", "y"))
_ENTRIES = st.lists(st.sampled_from(_LINES)).map(tuple)
_UNITS = st.builds(UnitSections, _ENTRIES, _ENTRIES, _ENTRIES)
_PODS = st.builds(
    Pod,
    name=st.just("shop"),
    source=st.just("x"),
    hostname=st.sampled_from(("", "store")),
    network=st.sampled_from((NetworkMode.NETWORKS, NetworkMode.NONE, NetworkMode.HOST)),
    dns=st.sampled_from(((), ("none",), ("10.0.0.1",))),
    mounts=_MOUNTS,
    user_namespace=st.none() | st.just(UserNamespace()),
    exit_policy=st.sampled_from(ExitPolicy),
    stop_timeout=_SECONDS,
    unit=_UNITS,
)
_CONTAINERS = st.builds(
    Container,
    name=st.just("web"),
    source=st.just("y"),
    pod=st.just("shop"),
    membership=st.builds(Membership, st.booleans(), _MOUNTS, _SECONDS, _UNITS),
)


@given(container=_CONTAINERS, before=_PODS, after=_PODS)
def test_nothing_stays_of_what_the_pod_was(container: Container, before: Pod, after: Pod) -> None:
    """Also when it was written down in between."""
    written = codec.loads(Container, codec.dumps(joined(container, before)))
    assert joined(written, after) == joined(container, after)


@given(container=_CONTAINERS, pod=_PODS)
def test_its_own_word_wins(container: Container, pod: Pod) -> None:
    """And whatever it has beside it is the pod's."""
    own, found = container.membership, joined(container, pod)
    assert own and found.membership == own
    assert found.mounts[: len(own.mounts)] == own.mounts
    assert {m.target for m in found.mounts} == {m.target for m in (*own.mounts, *pod.mounts)}
    if own.stop_timeout is not None:
        assert found.stop_timeout == own.stop_timeout
    assert set(own.unit.unit) <= set(found.unit.unit) and set(own.unit.service) <= set(found.unit.service)


def test_one_of_an_older_ctr_follows_with_its_users() -> None:
    """Those of the pod it has to have; what of the rest is its own, nobody wrote down."""
    old = Container("web", "y", pod="shop", stop_timeout=5.0)
    pod = Pod("shop", "x", stop_timeout=3.0, user_namespace=UserNamespace())
    assert joined(old, pod) == replace(old, user_namespace=UserNamespace())
