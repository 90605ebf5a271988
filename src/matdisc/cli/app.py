"""The ``matdisc`` command and the border where every error becomes a message and an exit code."""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from matdisc import __version__
from matdisc.cli import (
    bench,
    data,
    discover,
    doctor,
    evaluate,
    featurize,
    report,
    schema,
    screen,
    train,
    verify,
)
from matdisc.errors import ConfigError, MatdiscError, ResourceError
from matdisc.runs.files import resource_errors

__all__ = ["app", "main"]

logger = logging.getLogger(__name__)

app = typer.Typer(
    name="matdisc",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(discover.app, name="discover")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(train.predict)
app.command("screen")(screen.screen)
app.command("verify")(verify.verify)
app.add_typer(data.app, name="data")
app.command("featurize")(featurize.featurize)
app.command("report")(report.report)
app.command("bench")(bench.bench)
app.command("schema")(schema.schema)
app.command("doctor")(doctor.doctor)

_INTERRUPTED = 130
_NO_MEMORY = ("CUDA out of memory", "DefaultCPUAllocator: can't allocate memory")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"matdisc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """From a materials brief to verified candidates.

    Exit codes: 0 done, 1 bug, 2 config or usage, 3 data or artefact, 4 missing extra or device,
    5 verification failed, 6 disk or memory, 130 Ctrl-C.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Those of the process if None.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except MatdiscError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return _interrupted(words)
    except (MemoryError, OSError) as error:
        try:
            with resource_errors(Path(getattr(error, "filename", None) or Path.cwd() / "a file")):
                raise
        except ResourceError as full:
            return _fail(full)
        except OSError:
            refused = _refused(error)
            return _fail(refused) if refused else _bug(error)
    except Exception as error:  # the outermost border: anything that is not a MatdiscError
        exhausted = _torch_memory(error)
        return _fail(exhausted) if exhausted else _bug(error)


def _refused(error: BaseException) -> ConfigError | None:
    """A path that the system does not let us read or write, as a user would put it."""
    kinds = (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
    if not isinstance(error, kinds) or error.filename is None:
        return None
    return ConfigError(
        f"{error.filename}: {error.strerror}; check the path, and whether you may read and write it"
    )


def _torch_memory(error: Exception) -> ResourceError | None:
    """Torch reports exhausted memory as a RuntimeError, on the CPU without a class of its own."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not any(part in text for part in _NO_MEMORY):
        return None
    return ResourceError(
        f"memory ran out ({text.splitlines()[0]}); close other programs or use fewer workers, "
        "then run the same command to go on"
    )


def _run(words: list[str]) -> int:
    try:
        # Not app(): that would replace sys.excepthook.
        typer.main.get_command(app)(words, prog_name="matdisc")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return _interrupted(words) if code == _INTERRUPTED else code
    return 0


def _say(message: str, style: str) -> None:
    Console(stderr=True).print(Text(message, style=style), soft_wrap=True)


def _fail(error: MatdiscError) -> int:
    logger.debug("the command failed", exc_info=error)
    _say(f"error: {error}", "red")
    return error.exit_code


def _interrupted(words: list[str]) -> int:
    hint = " without --fresh" if "--fresh" in words else ""
    _say(f"\ninterrupted; run the same command{hint} to go on", "yellow")
    return _INTERRUPTED


def _bug(error: BaseException) -> int:
    text = "".join(traceback.format_exception(error))
    logger.debug("unexpected error\n%s", text)
    message = f"this is a bug in matdisc {__version__}: {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="matdisc-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"matdisc {' '.join(sys.argv[1:])}\n{text}")
    except OSError:
        _say(f"{message}\n{text}", "red")
    else:
        _say(f"{message}\nPlease report it with the file {file.name}", "red")
    return 1
