"""The only writer: brings /var/lib/ctr/containers and systemd's unit directory to what was rendered.

Everything is rendered before anything is written, so an invalid definition changes nothing. The order of effects is
chosen so that a SIGKILL between any two leaves each container with its old or its new version, and the next `apply`
completes it:

1. all new versions are written beside the old ones (``NAME/v.DIGEST``, or the whole ``.NAME.new``) and flushed to disk:
   a full disk is noticed here, when nothing was changed yet;
2. containers that go are stopped, while their units still have their own stop settings;
3. per container: links that go are removed, then the version is switched by one rename, then the drop-in, then new
   links. A container that goes loses its links, its drop-in and, last, its directory (renamed to ``.NAME.gone``). So a
   link or a drop-in never exists without the record that knows it;
4. one daemon-reload, if systemd has a unit in memory whose files changed;
5. what nobody needs any more is erased, and running containers that changed are restarted.

Until 4 is done every failure is undone, in reverse; every error on the way is reported. What a killed apply owes after
its switches, `supervisor.deploy.pending` remembers: the next one reloads, and restarts what was to be restarted. A
container that fails to come up with its new definition stays deployed: that is for its unit to say and its author to
correct.

Between the switch and the drop-in a unit may start with a new plan and an old drop-in: it would stop with the old
signal and timeout, and one that became (or ceased to be) a oneshot would fail to start. Until 4, that is systemd's own
view in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from supervisor.deploy import host, idmaps, mounting, networking, state
from supervisor.deploy.conflicts import Prune
from supervisor.deploy.ground import link_units
from supervisor.deploy.guards import host_errors, locked, undone_on_failure, words
from supervisor.deploy.records import NetworkRecord
from supervisor.deploy.removal import Removal, volumes_of
from supervisor.deploy.report import Report, report
from supervisor.deploy.resources import Decision
from supervisor.deploy.restarts import Restarts
from supervisor.deploy.selection import Selection, select
from supervisor.deploy.settings import read as read_settings
from supervisor.deploy.write import Changes
from supervisor.errors import ConflictError, CtrError, DefinitionError, NotFoundError, Problem, UserError
from supervisor.events import records
from supervisor.names import namespace_unit
from supervisor.network import document
from supervisor.render import oci
from supervisor.render.facts import HostFacts
from supervisor.render.files import File
from supervisor.render.pod import holder
from supervisor.render.pod import tree as pod_tree
from supervisor.render.tree import Tree, tree
from supervisor.render.users import Accounts
from supervisor.spec.container import Container
from supervisor.spec.image import Image, ImageConfig
from supervisor.spec.network import Lease, Network
from supervisor.spec.pod import Pod
from supervisor.spec.userns import AUTO_SIZE, IdMaps
from supervisor.spec.volume import Volume


class Deployment(Removal):
    """Deployed containers of one host."""

    # reading

    def networks(self) -> tuple[Network, ...]:
        """Every network, complete, sorted by name."""
        return tuple(record.network for record in self._resources.networks.read_all().values())

    def volumes(self) -> tuple[Volume, ...]:
        """Every volume that was defined or created, sorted by name; a container's use alone makes no record."""
        return tuple(record.volume for record in self._resources.volumes.read_all().values())

    def leases(self) -> dict[str, tuple[Lease, ...]]:
        """Container names to what they were given."""
        return {d.name: d.record.leases for d in state.read_all(self._layout)}

    def users_of(self, image_id: str) -> tuple[str, ...]:
        """Names of the containers that run or mount the image with this id."""
        return tuple(d.name for d in state.read_all(self._layout) if image_id in (d.image, *d.record.mounted_images))

    def missing_images(self, containers: Iterable[Container], volumes: Iterable[Volume] = ()) -> tuple[str, ...]:
        """References among *containers* and *volumes* that the store does not have, each once."""
        missing = []
        for reference in dict.fromkeys((*mounting.references(containers), *(v.image for v in volumes if v.image))):
            try:
                self._store.find(reference)
            except NotFoundError:
                missing.append(reference)
        return tuple(missing)

    # writing

    def apply(
        self,
        containers: Iterable[Container],
        *,
        networks: Iterable[Network] = (),
        volumes: Iterable[Volume] = (),
        pods: Iterable[Pod] = (),
        prune: Prune,
        replace: bool = True,
        restart: bool = True,
        dry_run: bool = False,
    ) -> Report:
        """Deploy *containers* and the *networks*, *volumes* and *pods* they may use; remove the containers, networks
        and pods deployed earlier for which *prune* is true (volumes stay until they are removed by name). Starts none.

        Without *replace* a name that is taken is an error (``ctrctl run``); without *restart* running containers stay
        as they are. *dry_run* only reports what would be done. Raises `DefinitionError` with every problem (nothing
        was changed) and `HostError` (everything was undone, or the message says what was not).
        """
        with locked(self._layout), host_errors():
            selection = select(self._layout, containers, pods, prune)
            problems = list(selection.problems(prune, replace=replace))
            wanted, others = selection.networked, selection.others
            resources = self._resources.decide(networks, volumes, wanted, others, prune, problems, replace=replace)
            problems += self._still_mounted(resources, tuple(selection.present.values()))
            trees = self._render(selection, resources.networks, resources.every_volume, problems)
            if problems:
                raise DefinitionError(tuple(problems))
            differences = [state.difference(self._layout, t) for t in trees]
            pending = self._pending.read()
            about = selection.names | set(selection.members(pod.name for pod in selection.pods))
            owed = (pending or frozenset()) & about
            outdated = [d.tree.name for d in differences if d.tree.name in owed or (d.effective and not d.is_new)]
            connected = [d.tree.name for d in differences if d.tree.name in owed or d.network]
            # With its namespaces, a pod's containers are started anew.
            affected = list(dict.fromkeys((*outdated, *selection.members(outdated), *sorted(owed))))
            leftovers: tuple[str, ...] = ()
            stopped = self._running(selection.evicted()) if restart else frozenset[str]()
            if not dry_run:
                if pending is not None:
                    self._manager.daemon_reload()
                with self._pending.owed((pending or frozenset()) | set(affected if restart else ())):
                    leftovers = self._write([d for d in differences if d.anything], selection, resources)
            # Only now: one that was started while we wrote may run the old version.
            running = self._running(affected) if restart else frozenset[str]()
            restarts = [name for name in affected if name in running | stopped]
            namespaces = self._active(map(namespace_unit, connected)) if restart else frozenset[str]()
            jobs = None if dry_run else Restarts(self._manager, restarts, namespaces, selection.owners(), stopped)
            if not dry_run:
                self._pending.paid((pending or frozenset()) - (about if restart else frozenset()))
        # Others may deploy meanwhile.
        failed = jobs.wait() if jobs else ()
        return report(selection, differences, resources, restarts, failed, leftovers)

    def create_network(self, definition: Network) -> Network:
        """Make a network, complete. Raises `DefinitionError`: the name is taken, the subnet overlaps another …"""
        self.apply((), networks=(definition,), prune=lambda _: False, replace=False)
        return self._resources.networks.read(definition.name).network

    def create_volume(self, volume: Volume) -> Volume:
        """Make a volume. Raises `DefinitionError` when the name is taken."""
        if self._disk.exists(f"{self._layout.volumes}/{volume.name}"):
            raise ConflictError(f"volume {volume.name}: exists already; choose another name")
        self.apply((), volumes=(volume,), prune=lambda _: False, replace=False)
        with locked(self._layout), host_errors():
            self._resources.make_directory(volume)
        return volume

    # steps

    def _still_mounted(self, resources: Decision, present: Collection[state.Deployed]) -> list[Problem]:
        """Volumes that are to be mounted otherwise while somebody runs with them."""
        problems = []
        for name in resources.remounted:
            if users := self._running(d.name for d in present if name in volumes_of(d.mounted)):
                text = f"volume {name}: is mounted for {', '.join(sorted(users))}; stop what uses it first"
                problems.append(Problem(resources.volumes[name][0].volume.source, 0, "", text))
        return problems

    def _render(
        self,
        selection: Selection,
        networks: Mapping[str, NetworkRecord],
        volumes: Mapping[str, Volume],
        problems: list[Problem],
    ) -> list[Tree]:
        """The trees of what is wanted, pods first; what cannot be rendered is added to *problems*."""
        wanted = selection.networked
        if not wanted:
            return []
        users = idmaps.of_deployed(selection.staying, wanted, self._layout)
        shared = self._pod_users(selection, users, problems)
        following = {one.name: (one.image, pod.source, one.container) for one, pod in selection.following(shared)}
        containers = (*selection.containers, *(container for _, _, container in following.values()))
        facts = host.gather(self._layout, containers, read_settings(self._layout))
        facts = replace(facts, images=mounting.stored_images(containers, volumes, self._store))
        wants_port = any(c.publish_all or any(not p.host for p in c.ports) for c in wanted)
        busy = self._neighbourhood.busy_ports() if wants_port else ()
        known = {name: record.network for name, record in networks.items()}
        allotment = networking.Allotment(known, selection.staying, wanted, busy)
        trees = list(self._render_pods(selection, allotment, shared, facts, problems))
        for defined in containers:
            # One that follows its pod keeps its image, and what is wrong with it is the pod's new definition.
            reference, source, _ = following.get(defined.name, (defined.image or "", defined.source, None))
            try:
                container = mounting.expanded(defined)
                name = oci.hostname(container, facts)
                image = self._image(reference) if container.rootfs is None else None
                layers = self._store.layers(image) if image else ()
                own = Accounts(image.passwd, image.group) if image else host.rootfs_accounts(container.rootfs or "")
                maps = shared.get(container.pod) or users.of_container(container, image, own)
                given = allotment.networking(container, image.config if image else ImageConfig(), name, maps)
                accounts = None if image else own
                trees.append(tree(container, image, layers, facts, self._layout, accounts, given, volumes))
            except UserError as error:
                prefix = f"{defined.name}: "
                problems.append(Problem.of(source, error, prefix + str(error).removeprefix(prefix)))
        return trees

    def _image(self, reference: str) -> Image:
        try:
            return self._store.find(reference)
        except UserError as error:
            error.asked_by("Image", reference)
            raise

    def _pod_users(
        self, selection: Selection, users: idmaps.Allotment, problems: list[Problem]
    ) -> dict[str, IdMaps | None]:
        """Of every pod that there will be, by name; one that can have none is missing, and among *problems*."""
        shared = {name: deployed.record.id_maps for name, deployed in selection.present_pods.items()}
        for pod in selection.pods:
            try:
                shared[pod.name] = users.maps(pod.name, pod.user_namespace, AUTO_SIZE)
            except UserError as error:
                shared.pop(pod.name, None)
                problems.append(Problem.of(pod.source, error))
        return shared

    def _render_pods(
        self,
        selection: Selection,
        allotment: networking.Allotment,
        shared: Mapping[str, IdMaps | None],
        facts: HostFacts,
        problems: list[Problem],
    ) -> Iterator[Tree]:
        """The trees of pods whose users are known."""
        for pod in selection.pods:
            if pod.name not in shared:
                continue
            try:
                held = holder(pod)
                given = allotment.networking(held, ImageConfig(), held.hostname or "", shared[pod.name])
                text = given.document or document.without_network(pod.name, shared[pod.name])
                given = replace(given, document=text)
                yield pod_tree(pod, selection.members([pod.name]), given, facts, self._layout)
            except UserError as error:
                problems.append(Problem.of(pod.source, error))

    def _write(
        self, differences: list[state.Difference], selection: Selection, resources: Decision
    ) -> tuple[str, ...]:
        """Everything but the restarts; what could not be erased at the end, in words."""
        self._shelf.sweep()
        gone: tuple[state.Deployed | state.DeployedPod, ...] = (*selection.gone, *selection.gone_pods)
        if not differences and not gone and not resources.told():
            return ()
        units = {file.unit for d in differences for file in d.new_units} | resources.units
        units |= {File(path, "").unit for d in differences for path in d.obsolete_units}
        units |= link_units(link for d in differences for link in (*d.obsolete_links, *d.new_links))
        units |= link_units(link for d in gone for link in d.links)
        changes = Changes(self._disk)
        with undone_on_failure(changes):
            # A setuid program in a container's layer must be out of reach of the host's users.
            changes.make_directories(self._layout.containers, 0o700)
            for difference in differences:
                self._shelf.prepare(difference, changes)
            self._stop_units([File(path, "").unit for paths in resources.remounted.values() for path in paths])
            self._resources.write(resources, changes)
            self._shelf.flush()
            self._stop(tuple(d.name for d in selection.gone), changes)
            self._stop_pods(tuple(d.name for d in selection.gone_pods), changes)
            # Comes after the files in `undo`, and before what was stopped is started again.
            changes.also_undo(lambda: self._reload(units))
            for difference in differences:
                self._shelf.publish(difference, changes)
            for deployed in gone:
                self._shelf.retire(deployed.name, deployed.links, deployed.record.units, changes)
            self._resources.retire(resources, changes)
            self._shelf.flush()
            self._reload(units)
        pods = {pod.name for pod in selection.pods}
        for difference in differences:
            if difference.is_new and difference.tree.name not in pods:
                self._tell(records.DEPLOYED, difference.tree.name, "deployed")
        return self._clear(differences, selection)

    def _clear(self, differences: list[state.Difference], selection: Selection) -> tuple[str, ...]:
        leftovers = []
        steps = [(d.name, partial(self._erase_with_volumes, d)) for d in selection.gone]
        steps += [(d.name, partial(self._erase_pod, d.name)) for d in selection.gone_pods]
        steps += [(d.tree.name, partial(self._shelf.drop_old_versions, d.tree.name)) for d in differences]
        for name, step in steps:
            try:
                step()
            except (OSError, CtrError) as error:
                leftovers.append(f"{name}: deployed, but not everything old is erased: {words(error)}")
        return tuple(leftovers)
