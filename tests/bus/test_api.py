"""io.ctr.Supervisor1 on a real message bus: what it shows, what it signals, whom it lets act."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from buskit import PrivateBus
from clientkit import (
    BUS,
    CONTAINER,
    MANAGER,
    NAME,
    POLKIT,
    PROJECT,
    PROPERTIES,
    ROOT,
    CallError,
    Client,
    connected,
    mirror,
    until,
)
from dbus_next import Message, MessageFlag, NameFlag, RequestNameReply, Variant
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.api.authority import ACTION, Authority
from supervisor.api.objects import container_path, project_path
from supervisor.api.service import Api
from supervisor.errors import HostError, NotFoundError
from supervisor.events.event import Event, Job, Kind
from supervisor.lifecycle.model import Container, Exit, Run
from supervisor.lifecycle.observation import UnitState
from supervisor.spec.card import Card

pytestmark = pytest.mark.anyio
WEB = container_path("web-1")
JOB = "/org/freedesktop/systemd1/job/7"


@pytest.fixture(scope="session")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one bus for all tests that do not break it."""
    bus = PrivateBus(tmp_path_factory.mktemp("bus"))
    bus.start()
    yield bus.address
    bus.stop()


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[PrivateBus]:
    """A bus to break."""
    bus = PrivateBus(tmp_path)
    bus.start()
    yield bus
    bus.stop()


class Systemd:
    """Takes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def _queue(self, verb: str, name: str) -> str:
        self.asked.append((verb, name))
        if name == "gone":
            raise NotFoundError("gone: no such container")
        if name == "broken":
            raise HostError("broken: systemd refused")
        return JOB

    async def start(self, name: str) -> str:
        return await self._queue("start", name)

    async def stop(self, name: str) -> str:
        return await self._queue("stop", name)

    async def restart(self, name: str) -> str:
        return await self._queue("restart", name)


def container(name: str = "web-1", project: str = "", active: str = "active", **changes: Any) -> Container:
    """One that runs."""
    unit = UnitState(name, active=active, sub="running", main_pid=42)
    return replace(Container(name, card=Card(name, project=project), unit=unit), **changes)


@asynccontextmanager
async def serving(
    address: str, *containers: Container, authority: Authority | None = None
) -> AsyncIterator[tuple[Api, Systemd, list[str]]]:
    """The service, ready, with *containers*; the caller is root to it unless *authority* says otherwise."""
    systemd, said = Systemd(), list[str]()
    authority = authority or Authority(root=os.getuid())
    api = Api(systemd, lambda: {"answers": 42}, address, say=said.append, machine_id="5" * 32, authority=authority)
    for item in containers:
        api.show(item)
    async with anyio.create_task_group() as tasks:
        await tasks.start(api.run)
        await until(lambda: f"{NAME}: ready" in said)
        yield api, systemd, said
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def polkitd(address: str, answer: Callable[[Message], Message | None]) -> AsyncIterator[list[Message]]:
    """A service by polkit's name that answers CheckAuthorization with what *answer* makes of it."""
    asked: list[Message] = []

    def handle(message: Message) -> Message | bool | None:
        if message.member not in ("CheckAuthorization", "CancelCheckAuthorization"):
            return None
        asked.append(message)
        return (answer(message) if message.member == "CheckAuthorization" else None) or True

    async with connected(address) as client:
        client.bus.add_message_handler(handle)
        while await client.bus.request_name(POLKIT, NameFlag.DO_NOT_QUEUE) is not RequestNameReply.PRIMARY_OWNER:
            await anyio.sleep(0.01)
        yield asked


def verdict(allowed: bool, challenge: bool = False) -> Callable[[Message], Message]:
    """polkitd's answer to everything."""
    return lambda call: Message.new_method_return(call, "(bba{ss})", [[allowed, challenge, {}]])


def silence(_: Message) -> None:
    """polkitd does not answer."""


async def refused(call: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await call
    return caught.value


def start(client: Client, name: str = "web-1", flags: MessageFlag = MessageFlag.NONE) -> Any:
    return client.call(ROOT, NAME, "Start", "s", name, flags=flags)


@asynccontextmanager
async def client_of(address: str, *containers: Container) -> AsyncIterator[tuple[Client, Api, Systemd]]:
    async with serving(address, *containers) as (api, systemd, _), connected(address) as client:
        yield client, api, systemd


# what is shown


async def test_a_container_is_an_object_with_what_is_known_of_it(bus_address: str) -> None:
    """Every property has its value, by name and type."""
    run = Run("ab" * 16, starting_at=1, started_at=2, ready_at=3, ooms=4)
    unit = UnitState("web-1", "active", "running", main_pid=42, job=9, job_type="stop", result="success")
    card = Card("web-1", "nginx", "sha256:12", "/etc/ctr/web.container", "shop")
    full = Container(
        "web-1",
        card=card,
        unit=unit,
        health="healthy",
        runs=(run,),
        last=Exit("killed", 9, 5, "signal"),
        exits=(("signal", 2),),
        restarts=6,
    )
    async with client_of(bus_address, full) as (client, _, _):
        objects = await client.managed()
    assert objects[WEB] == {
        CONTAINER: {
            "Name": "web-1",
            "Unit": "ctr@web-1.service",
            "Scope": "ctr-web-1.scope",
            "Definition": "/etc/ctr/web.container",
            "Image": "nginx",
            "ImageDigest": "sha256:12",
            "Project": "shop",
            "Phase": "running",
            "Health": "healthy",
            "InvocationID": "ab" * 16,
            "MainPID": 42,
            "Restarts": 6,
            "StartingAt": 1,
            "StartedAt": 2,
            "ReadyAt": 3,
            "LastExitCode": "killed",
            "LastExitStatus": 9,
            "LastExitAt": 5,
            "Result": "success",
            "OutOfMemory": 4,
            "LastProbeUSec": 0,
            "Exits": {"signal": 2},
            "JobId": 9,
            "JobType": "stop",
            "Dependencies": {},
        }
    }
    assert objects[project_path("shop")] == {
        PROJECT: {"Name": "shop", "Unit": "ctr@shop.target", "Containers": ["web-1"], "Phases": {"running": 1}}
    }


async def test_get_and_get_all_agree_with_the_object_manager(bus_address: str) -> None:
    """Three ways to the same values."""
    async with client_of(bus_address, container(project="shop")) as (client, _, _):
        for path, interfaces in (await client.managed()).items():
            for interface, values in interfaces.items():
                (found,) = await client.call(path, PROPERTIES, "GetAll", "s", interface)
                assert {name: value.value for name, value in found.items()} == values
                assert {name: await client.get(path, interface, name) for name in values} == values


async def test_the_root_counts(bus_address: str) -> None:
    """Containers, and whatever the daemon counts, as it is at that moment."""
    async with client_of(bus_address, container("a"), container("b")) as (client, _, _):
        assert await client.get(ROOT, NAME, "Containers") == 2
        assert await client.get(ROOT, NAME, "State") == "running"
        assert await client.get(ROOT, NAME, "Counters") == {"answers": 42}
        (found,) = await client.call(ROOT, PROPERTIES, "GetAll", "s", NAME)
        assert sorted(found) == ["Containers", "Counters", "State", "Version"]


async def test_text_that_a_bus_does_not_carry_is_shown_without_it(bus_address: str) -> None:
    """A NUL or half a surrogate in a message makes the bus hang up on its sender."""
    evil = container(card=Card("web-1", image="a\0b\ud800", definition="x" * 10_000), health="\0")
    async with client_of(bus_address, evil) as (client, api, _):
        await client.watch()
        api.tell(Event(Kind.EXITED, "web-1", -1, detail="\0\udfff" * 9999, status=-5, code="\0"))
        assert await client.get(WEB, CONTAINER, "Image") == "a\ufffdb?"
        assert len(await client.get(WEB, CONTAINER, "Definition")) < 5000
        await until(lambda: bool(client.signals))


@pytest.mark.parametrize(
    ("path", "interface", "member", "arguments", "error"),
    [
        (ROOT, NAME, "GetContainer", ("s", "nope"), "io.ctr.Error.NotFound"),
        (ROOT, NAME, "GetContainer", ("s", "../etc"), f"{BUS}.Error.InvalidArgs"),
        (ROOT, NAME, "GetContainer", ("s", "x" * 129), f"{BUS}.Error.InvalidArgs"),
        (ROOT, NAME, "GetContainer", ("u", 5), f"{BUS}.Error.InvalidArgs"),
        (ROOT, NAME, "GetContainer", ("ss", "web-1", "web-1"), f"{BUS}.Error.InvalidArgs"),
        (ROOT, NAME, "Start", ("s", "nope"), "io.ctr.Error.NotFound"),
        (ROOT, NAME, "Start", ("s", "x" * 70_000), "io.ctr.Error.LimitsExceeded"),
        (ROOT, NAME, "Kill", (), f"{BUS}.Error.UnknownMethod"),
        (ROOT, "no.such", "Start", (), f"{BUS}.Error.UnknownInterface"),
        (f"{ROOT}/nowhere", NAME, "Start", ("s", "web-1"), f"{BUS}.Error.UnknownObject"),
        (f"{ROOT}/container/nope", CONTAINER, "Start", (), f"{BUS}.Error.UnknownObject"),
        (WEB, PROPERTIES, "Get", ("ss", CONTAINER, "Nope"), f"{BUS}.Error.UnknownProperty"),
        (WEB, PROPERTIES, "Get", ("ss", NAME, "Version"), f"{BUS}.Error.UnknownInterface"),
        (WEB, PROPERTIES, "Set", ("ssv", CONTAINER, "Name", Variant("s", "x")), f"{BUS}.Error.PropertyReadOnly"),
        (WEB, MANAGER, "GetManagedObjects", (), f"{BUS}.Error.UnknownInterface"),
    ],
)
async def test_a_call_that_makes_no_sense_gets_an_error(
    bus_address: str, path: str, interface: str, member: str, arguments: tuple[Any, ...], error: str
) -> None:
    """With the name that says which kind it is; nothing is done."""
    async with client_of(bus_address, container()) as (client, _, systemd):
        assert (await refused(client.call(path, interface, member, *arguments))).name == error
        assert systemd.asked == []


# what is signalled


async def test_only_what_has_changed_is_signalled(bus_address: str) -> None:
    """A burst of 1,000 changes in one turn of the loop is one signal with the last values of the changed properties."""
    async with client_of(bus_address, container()) as (client, api, _):
        await client.watch()
        for number in range(1000):
            api.show(container(restarts=number, health=f"h{number}"))
        await until(lambda: bool(client.signals))
        api.show(container(restarts=999, health="h999"))
        api.show(container("end"))
        await until(lambda: client.signals[-1].path == ROOT and client.signals[-1].member == "PropertiesChanged")
    (signal,) = [signal for signal in client.signals if signal.path == WEB]
    assert signal.member == "PropertiesChanged"
    assert signal.body == [CONTAINER, {"Restarts": Variant("t", 999), "Health": Variant("s", "h999")}, []]


async def test_dependencies_come_when_they_are_known(bus_address: str) -> None:
    """One signal, and none when they are read again and are the same; they go with the container, and are not those of
    the next one of that name."""
    db = {"ctr@db.service": ("after", "requires", "when healthy")}
    async with client_of(bus_address, container()) as (client, api, _):
        await client.watch()
        for _ in range(3):
            api.depend("web-1", db)
            api.depend("nobody", db)
            await until(lambda: bool(client.signals))
        assert await client.get(WEB, CONTAINER, "Dependencies") == {"ctr@db.service": list(db["ctr@db.service"])}
        api.hide("web-1")
        await until(lambda: client.signals[-1].member == "PropertiesChanged" and client.signals[-1].path == ROOT)
        api.show(container())
        await until(lambda: client.signals[-1].member == "PropertiesChanged" and len(client.signals) > 4)
        assert await client.get(WEB, CONTAINER, "Dependencies") == {}
    told = [signal.body[1] for signal in client.signals if signal.path == WEB]
    assert told == [{"Dependencies": Variant("a{sas}", {"ctr@db.service": list(db["ctr@db.service"])})}]


async def test_what_an_event_changed_can_be_read_when_it_is_heard_of(bus_address: str) -> None:
    """Also behind a crowd of other changes."""
    async with client_of(bus_address, container()) as (client, api, _):
        await client.watch()
        for number in range(200):
            api.show(container(f"other-{number}"))
        api.show(container(health="unhealthy"))
        job = Job(3, "restart", "done")
        api.tell(Event(Kind.EXITED, "web-1", 7, "ab", "exited", 0, "words", "shop", job, "cursor"))
        await until(lambda: any(signal.member == "Event" for signal in client.signals))
    members = [signal.member for signal in client.signals]
    event = client.signals[members.index("Event")]
    assert client.signals[members.index("Event") - 1].body[1] == {"Health": Variant("s", "unhealthy")}
    assert event.body[:2] == ["exited", "web-1"]
    assert {name: value.value for name, value in event.body[2].items()} == {
        "At": 7,
        "Invocation": "ab",
        "Code": "exited",
        "Status": 0,
        "Detail": "words",
        "Project": "shop",
        "JobId": 3,
        "JobType": "restart",
        "JobResult": "done",
        "Cursor": "cursor",
    }


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b-1", "b.1", "9"]),
        st.one_of(
            st.none(),
            st.builds(
                dict,
                project=st.sampled_from(["", "shop", "b-1"]),
                active=st.sampled_from(["active", "inactive", "failed"]),
                restarts=st.integers(0, 2),
            ),
        ),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=40)
@given(steps=STEPS)
def test_a_mirror_kept_by_signals_equals_the_objects(bus_address: str, steps: list[Any]) -> None:
    """Whatever appears, changes and goes, and in whatever turns of the loop."""
    anyio.run(follow, bus_address, steps)


async def follow(address: str, steps: list[Any]) -> None:
    async with client_of(address, container("a", "shop")) as (client, api, _):
        await client.watch()
        objects = await client.managed()
        for name, changes, is_turn in steps:
            if changes is None:
                api.hide(name)
            else:
                api.show(container(name, **changes))
            if is_turn:
                await client.call(ROOT, "org.freedesktop.DBus.Peer", "Ping")
        api.set_state("stopping")
        await until(lambda: any(signal.path == ROOT and "State" in str(signal.body) for signal in client.signals))
        mirror(objects, client.signals)
        assert objects == await client.managed()
        names = {found[CONTAINER]["Name"] for found in objects.values() if CONTAINER in found}
        assert names == shown(steps)
        assert {path: found for path, found in objects.items() if PROJECT in found} == projects(objects)


def projects(objects: dict[str, Any]) -> dict[str, Any]:
    """What the containers among *objects* make of their projects."""
    members: dict[str, dict[str, str]] = {}
    for found in objects.values():
        if (values := found.get(CONTAINER)) and values["Project"]:
            members.setdefault(values["Project"], {})[values["Name"]] = values["Phase"]
    return {
        project_path(name): {
            PROJECT: {
                "Name": name,
                "Unit": f"ctr@{name}.target",
                "Containers": sorted(phases),
                "Phases": dict(Counter(phases.values())),
            }
        }
        for name, phases in members.items()
    }


def shown(steps: list[Any]) -> set[str]:
    """The names that are there in the end."""
    names = {"a"}
    for name, changes, _ in steps:
        (names.discard if changes is None else names.add)(name)
    return names


# who may act


async def test_root_acts_without_polkit(bus_address: str) -> None:
    """Through the container's object or by its name; the job comes back."""
    async with client_of(bus_address, container()) as (client, _, systemd):
        assert await client.call(ROOT, NAME, "Start", "s", "web-1") == [JOB]
        assert await client.call(WEB, CONTAINER, "Restart") == [JOB]
        assert await client.call(WEB, CONTAINER, "Stop") == [JOB]
        assert systemd.asked == [("start", "web-1"), ("restart", "web-1"), ("stop", "web-1")]
        for _ in range(20):  # one after the other, as many as anybody likes
            await start(client)


async def test_systemds_refusals_come_back_with_its_words(bus_address: str) -> None:
    """As D-Bus errors of ours."""
    async with client_of(bus_address, container("gone"), container("broken")) as (client, _, _):
        gone, broken = await refused(start(client, "gone")), await refused(start(client, "broken"))
    assert (gone.name, str(gone)) == ("io.ctr.Error.NotFound", "gone: no such container")
    assert (broken.name, str(broken)) == ("io.ctr.Error.Failed", "broken: systemd refused")


STRANGER = Authority(root=-1, patience=60.0, person=60.0)
#: For a polkit that never answers: such a test takes so long.
IMPATIENT = replace(STRANGER, patience=3.0)


async def test_polkit_is_asked_about_the_caller(bus_address: str) -> None:
    """By its unique name, with the container and the verb, and allowed to ask for a password if the caller is."""
    async with (
        polkitd(bus_address, verdict(True)) as asked,
        serving(bus_address, container(), authority=STRANGER) as (_, systemd, _),
        connected(bus_address) as client,
    ):
        assert await start(client) == [JOB]
        await start(client, flags=MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION)
        unique_name = client.bus.unique_name
    subject = ["system-bus-name", {"name": Variant("s", unique_name)}]
    details = {"container": "web-1", "verb": "start"}
    assert [message.body[:4] for message in asked] == [[subject, ACTION, details, 0], [subject, ACTION, details, 1]]
    assert systemd.asked == 2 * [("start", "web-1")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (verdict(False), "have a polkit rule grant"),
        (verdict(False, True), "allow interactive authorization"),
        (silence, "polkit does not answer"),
        (lambda call: Message.new_error(call, "org.freedesktop.PolicyKit1.Error.Failed", "confused"), "confused"),
        (lambda call: Message.new_method_return(call, "s", ["yes"]), "answers 's'"),
        (Message.new_method_return, "answers ''"),
        (None, "polkit: "),
    ],
    ids=["no", "password", "silent", "error", "nonsense", "empty", "absent"],
)
async def test_whatever_is_not_a_yes_is_a_no(bus_address: str, answer: Any, words: str) -> None:
    """A clear refusal within polkit's time, and nothing is done. Reading goes on meanwhile."""
    polkit: AbstractAsyncContextManager[Any] = polkitd(bus_address, answer) if answer else connected(bus_address)
    async with (
        polkit,
        serving(bus_address, container(), authority=IMPATIENT if answer is silence else STRANGER) as (_, systemd, _),
        connected(bus_address) as client,
    ):
        error = await refused(start(client))
        assert await client.get(WEB, CONTAINER, "Name") == "web-1"
    assert error.name == "io.ctr.Error.NotAuthorized"
    assert str(error).startswith("web-1: start: not authorized") and words in str(error)
    assert systemd.asked == []


async def test_actions_that_wait_for_polkit_are_counted(bus_address: str) -> None:
    """Eight of one caller; the ninth is refused at once, another caller is not, and polkit hears that nobody waits."""
    async with (
        polkitd(bus_address, silence) as asked,
        serving(bus_address, container(), authority=IMPATIENT),
        connected(bus_address) as client,
        connected(bus_address) as other,
        anyio.create_task_group() as tasks,
    ):
        errors: list[str] = []

        async def attempt(caller: Client) -> None:
            errors.append((await refused(start(caller))).name)

        for _ in range(9):
            tasks.start_soon(attempt, client)
        await until(lambda: bool(errors))
        assert errors[0] == "io.ctr.Error.LimitsExceeded"
        await attempt(other)
        await until(lambda: len(errors) == 10 and len(asked) == 18)
    assert errors.count("io.ctr.Error.NotAuthorized") == 9
    assert [message.member for message in asked].count("CancelCheckAuthorization") == 9


# the bus itself


async def test_a_lost_bus_is_found_again(own_bus: PrivateBus) -> None:
    """With everything there was, and what has changed meanwhile."""
    async with serving(own_bus.address, container()) as (api, _, said):
        own_bus.stop()
        await until(lambda: len(said) > 1)
        api.hide("web-1")
        api.show(container("db"))
        own_bus.start()
        await until(lambda: said.count(f"{NAME}: ready") == 2)
        async with connected(own_bus.address) as client:
            assert list(await client.managed()) == [container_path("db")]
    assert "the bus hung up; trying again in" in said[1]


async def test_it_starts_without_a_bus(own_bus: PrivateBus) -> None:
    """And says so; the bus comes later."""
    said: list[str] = []
    own_bus.stop()
    async with anyio.create_task_group() as tasks:
        await tasks.start(Api(Systemd(), dict, own_bus.address, say=said.append).run)
        assert "trying again" in said[0]
        own_bus.start()
        await until(lambda: f"{NAME}: ready" in said)
        tasks.cancel_scope.cancel()


async def test_a_name_that_another_process_has_is_waited_for(bus_address: str) -> None:
    """It is said, and the name is taken as soon as it is free."""
    said: list[str] = []
    async with connected(bus_address) as other:
        while await other.bus.request_name(NAME, NameFlag.DO_NOT_QUEUE) is not RequestNameReply.PRIMARY_OWNER:
            await anyio.sleep(0.01)
        async with anyio.create_task_group() as tasks:
            await tasks.start(Api(Systemd(), dict, bus_address, say=said.append).run)
            assert said == [f"{NAME}: another process has this name; waiting for it"]
            await other.bus.release_name(NAME)
            await until(lambda: said[-1] == f"{NAME}: ready")
            tasks.cancel_scope.cancel()
