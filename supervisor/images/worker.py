"""Program ctr-store: carries out one request to pull, load or import, inside ctr-store@.service. It alone puts images
into the store, and has image workers (`fetcher`) fetch and expand what it puts there.

Reads request.json, writes progress and result.json (see `work`); the exit status is 0 or 1. It may be killed at any
time.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence

from supervisor.errors import CtrError, HostError, UserError
from supervisor.events import records
from supervisor.images import mounts, pull, work
from supervisor.images.work import Request, Result
from supervisor.paths import Layout
from supervisor.spec.image import Image
from supervisor.systemd import journal


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """*argv*: the unit's instance, which names the request."""
    layout = Layout()
    if len(argv) != 1:
        return 2
    directory = work.directory(layout, argv[0])
    request = work.read(Request, f"{directory}/request.json")
    if request is None:
        return 2
    with open(f"{directory}/progress", "a", encoding="utf-8", buffering=1) as progress:
        result = carry_out(request, layout, environ, lambda line: print(line, file=progress, flush=True))
        print(result.message or f"stored {' '.join(result.images)}", flush=True)
    for image in result.images:
        tell(image, request, layout)
    work.write(f"{directory}/result.json", result)
    return 1 if result.kind else 0


def tell(image: str, request: Request, layout: Layout) -> None:
    """Have the journal know that *image*, an id, is in the store."""
    fields = {"MESSAGE_ID": records.PULLED, records.DETAIL: f"{request.source} {image}"}
    journal.record(f"{request.verb}: {request.source} is {image}", journal.INFO, fields, layout.journal)


def carry_out(request: Request, layout: Layout, environ: Mapping[str, str], report: pull.Report) -> Result:
    """Do what *request* says; every failure is in the result."""
    try:
        mounts.isolate()
        return Result(tuple(image.id for image in _images(request, layout, environ, report)))
    except CtrError as error:
        return Result.of_error(error)
    except OSError as error:
        return Result.of_error(_explain(error, request, layout))


def _images(request: Request, layout: Layout, environ: Mapping[str, str], report: pull.Report) -> tuple[Image, ...]:
    options = pull.Options(request.fetch, request.names)
    variables = {**environ, "CTR_LAYER_KIND": request.layer_kind or environ.get("CTR_LAYER_KIND", "")}
    if request.verb == "pull":
        return pull.pull(request.source, layout=layout, options=options, environ=variables, report=report)
    if request.verb == "load":
        return pull.load(request.source, layout=layout, options=options, environ=variables, report=report)
    if request.verb == "import":
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        image = pull.import_root(
            request.source,
            request.changes,
            created,
            layout=layout,
            options=options,
            environ=variables,
            report=report,
        )
        return (image,)
    raise UserError(f"request: '{request.verb}' is not pull, load or import")


def _explain(error: OSError, request: Request, layout: Layout) -> HostError:
    where = os.fsdecode(error.filename) if error.filename else layout.images
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "; see that the image store's disk has free space" if full else ""
    return HostError(f"{request.source}: {where}: {error.strerror or error}{hint}")
