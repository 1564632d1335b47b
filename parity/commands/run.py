"""`parity run`: cases to a report."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parity.commands.completion import complete_method, complete_model
from parity.commands.consoles import CONTEXT, console, echo_csv, echo_json, examples
from parity.commands.outputs import copy_whole, refuse_one_file_twice, refuse_overwriting, require_folder, write_whole
from parity.commands.own_file import of_own_file
from parity.commands.sessions import close, run_session, show
from parity.commands.signals import StopSignals
from parity.errors import ParityError
from parity.paths import command_line

if TYPE_CHECKING:
    from parity.assets.source import InputShapes


@click.command(
    context_settings=CONTEXT,
    epilog=examples(
        "parity run                                   # every method on vgg_mnist",
        "parity run --model vgg_mnist --method lrp_flat",
        "parity run --model mine.h5 --inputs x.npy --method 'lrp_*' --target 3",
        "parity run --model vgg16-seeded --method core --samples 1",
        "parity run --model vgg16 --inputs 'photos/*.jpg' --cluster tcp://127.0.0.1:8786",
        "parity run --method core --json - | jq .summary",
        "parity run --method core --csv cases.csv     # a line per case, for a spreadsheet or pandas",
        "parity run --method core --subject signxai_torch --subject zennit --subject captum",
    ),
)
@click.option(
    "--model", "models", multiple=True, shell_complete=complete_model,
    help="Name or Keras .h5; 'all' is every shipped one. [vgg_mnist]",
)  # fmt: skip
@of_own_file
@click.option(
    "--inputs",
    "files",
    multiple=True,
    help="Arrays (.npy, .npz) or images, or globs of them, instead of the shipped inputs.",
)
@click.option("--input", "names", multiple=True, help="Only the inputs of this name.")
@click.option(
    "--samples", type=click.IntRange(1), help="How many inputs. [all of --inputs; else 3, or 1 for large models]"
)
@click.option(
    "--method", "methods", multiple=True, shell_complete=complete_method,
    help="Names or globs; 'all', or 'core': one per rule. [all]",
)  # fmt: skip
@click.option("--target", type=int, help="The explained class. [arg-max of each input]")
@click.option(
    "--reference", type=click.Choice(["auto", "innvestigate", "signxai"]), default="auto", show_default=True,
    help="The original that methods are held to.",
)  # fmt: skip
@click.option(
    "--subject", "subjects", multiple=True,
    help="The implementation under test; several are put side by side. [signxai_torch]",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["both", "float32", "float64"]), default="both", show_default=True, help="Lanes."
)
@click.option(
    "--report", "directory", type=click.Path(file_okay=False, path_type=Path), default=Path("reports"),
    show_default=True, help="Folder of the report.",
)  # fmt: skip
@click.option("--previous", type=click.Path(path_type=Path), help="Earlier parity.json. [the one in --report]")
@click.option("--json", "json_to", metavar="PATH", help="Also write the results here; '-' is stdout, and nothing else.")
@click.option(
    "--csv", "csv_to", metavar="PATH", help="Also write a line per case here; '-' is stdout, and nothing else."
)
@click.option("--save-arrays", type=click.Path(dir_okay=False, path_type=Path), help="Also copy all maps to this HDF5.")
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--refresh", is_flag=True, help="Ask the reference again for what is stored.")
@click.option("--offline", is_flag=True, help="Start no TensorFlow: use packed and stored references alone.")
@click.option(
    "--pack", "packs", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="A file of `parity reference pack`, with --offline; the shipped one is always looked into.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=900.0, show_default=True,
    help="Seconds per reference request.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1),
    help="Reference processes at once, as memory allows. [one per core, up to 4; 1 for large models]",
)  # fmt: skip
@click.option(
    "--memory-limit", type=click.FloatRange(0, min_open=True), metavar="GB",
    help="For harness and reference together. [what is free]",
)  # fmt: skip
@click.option(
    "--cluster", metavar="ADDRESS",
    help="Run on a dask.distributed cluster: its scheduler's address, on this machine or tls://HOST:PORT. Whoever is "
    "at the other end can run code here.",
)  # fmt: skip
@click.option("--tls-ca-file", type=click.Path(path_type=Path), help="With --cluster tls://: who signed, in PEM.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="With --cluster tls://: this client's certificate.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="With --cluster tls://: the certificate's key.")
@click.option("--cluster-insecure", is_flag=True, help="Reach another machine without TLS, in a trusted network only.")
@click.option(
    "--traces", type=click.IntRange(0), default=3, show_default=True,
    help="Failing methods of each model to follow layer by layer; 0 is none.",
)  # fmt: skip
@click.option("--anew", is_flag=True, help="Take over nothing of a run that did not end: compute every case.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first case that is not green.")
@click.option("--quiet", is_flag=True, help="Print the verdict only.")
def run(
    models: Sequence[str],
    config: Path | None,
    output: str | None,
    input_shape: InputShapes,
    files: Sequence[str],
    names: Sequence[str],
    samples: int | None,
    methods: Sequence[str],
    target: int | None,
    reference: str,
    subjects: Sequence[str],
    dtype: str,
    directory: Path,
    previous: Path | None,
    json_to: str | None,
    csv_to: str | None,
    save_arrays: Path | None,
    store: Path | None,
    refresh: bool,
    offline: bool,
    packs: Sequence[Path],
    timeout: float,
    jobs: int | None,
    memory_limit: float | None,
    cluster: str | None,
    tls_ca_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    cluster_insecure: bool,
    traces: int,
    anew: bool,
    fail_fast: bool,
    quiet: bool,
) -> None:
    """Run cases and write the report.

    What is finished lies in --report as soon as it is. However a run ends, `parity report` makes the report of that,
    and the same run goes on there.

    Exit 0 if all are at parity, 1 if some are not or nothing was compared, 2 if the command or the environment is at
    fault, 128 and the signal's number after Ctrl-C (130), SIGTERM (143) or SIGHUP (129).
    """
    json_copy, csv_copy = (Path(to) if to and to != "-" else None for to in (json_to, csv_to))
    copies = [path for path in (json_copy, csv_copy, save_arrays) if path is not None]
    for path in copies:
        require_folder(path)
    if json_to == csv_to == "-":
        raise click.UsageError("--json - and --csv - both take all of stdout; give one of them a file")
    if packs and not offline:
        raise click.UsageError(
            "--pack goes with --offline: where TensorFlow is, every answer is computed on this machine"
        )
    if cluster is None and (tls_ca_file or tls_cert or tls_key or cluster_insecure):
        raise click.UsageError("--tls-ca-file, --tls-cert, --tls-key and --cluster-insecure go with --cluster")
    if offline and refresh:
        raise click.UsageError("--refresh asks TensorFlow, and --offline starts none")
    if len(subjects) > 1 and (json_to or csv_to or save_arrays or previous):
        raise click.UsageError(
            "--json, --csv, --save-arrays and --previous are for one subject; of several, the results and maps of each "
            f"lie in a folder of its own under {directory}"
        )
    # The heavy imports wait until there is something to run.
    from parity.commands.side_by_side import run_side_by_side
    from parity.report import csv_parts, load, remember, report_files
    from parity.run.cluster_access import Access
    from parity.run.session import Session

    make = partial(
        Session,
        models=models or ["vgg_mnist"],
        config=config,
        output=output,
        input_shape=input_shape,
        files=files,
        input_names=names,
        samples=samples,
        methods=methods or ["all"],
        target=target,
        reference=reference,
        dtype=dtype,
        store=store,
        refresh=refresh,
        timeout=timeout,
        jobs=jobs,
        memory_limit=memory_limit,
        cluster=cluster,
        anew=anew,
        access=Access(tls_ca_file, tls_cert, tls_key, cluster_insecure),
        fail_fast=fail_fast,
        client_options={"offline": True, "packs": tuple(packs)} if offline else {},
        traces_of_failing=traces,
        command=command_line(["parity", *sys.argv[1:]]),
    )
    errors = console(stderr=True)
    on_stdout = "-" in (json_to, csv_to)
    out = errors if on_stdout else console()
    if len(subjects) > 1:
        with StopSignals() as stops:
            sys.exit(run_side_by_side(subjects, directory, make, errors, out, quiet, stops))
    # What a library prints must not get into the JSON or the CSV.
    with StopSignals() as stops, contextlib.redirect_stdout(sys.stderr) if on_stdout else contextlib.nullcontext():
        session = make(subject=subjects[0] if subjects else "signxai_torch", directory=directory)
        written_files = [*report_files(directory), session.arrays_path]
        refuse_overwriting([*written_files, *copies], session.files_read())
        pairs = ((json_copy, written_files[0]), (save_arrays, session.arrays_path))
        others = [path for path, original in pairs if path is not None and path.resolve() != original.resolve()]
        refuse_one_file_twice([*written_files, *others, *([csv_copy] if csv_copy else [])])
        if previous is not None:  # the report's own parity.json may be replaced by what is compared with it
            refuse_overwriting(copies, [previous])
        # Read before anything is computed: a file that cannot be read must not cost the report in the end.
        earlier = None if previous is None else remember(load(previous))
        written = run_session(session, errors, quiet, stops, earlier)
    if json_to == "-":
        echo_json(written.json.read_text(encoding="utf-8"), nl=False)
    if csv_to == "-":
        echo_csv(csv_parts(written.document))
    show(out, written, quiet)
    failed: list[str] = []
    if csv_copy is not None:
        try:
            write_whole(csv_copy, (line.encode() for line in csv_parts(written.document)))
        except ParityError as error:
            failed.append(str(error))
    for copy, original in ((json_copy, written.json), (save_arrays, session.arrays_path)):
        try:
            if copy is not None:
                copy_whole(original, copy)
        except ParityError as error:
            failed.append(str(error))
    code = close(errors, session, written, stops)
    if failed:
        raise ParityError("\n".join([*failed, f"The report in {directory} is whole."]))
    sys.exit(code)
