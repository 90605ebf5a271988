"""The verbs of matdisc as Python functions; the command line calls these and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.data.assets import find_asset
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.discovery.campaign import CampaignResult
    from matdisc.discovery.specs import CampaignSpec
    from matdisc.firstprinciples.verification import VerificationResult
    from matdisc.firstprinciples.verify_specs import VerifySpec

__all__ = [
    "bench",
    "data_check",
    "data_get",
    "data_list",
    "discover",
    "find_config",
    "report",
    "verify",
]


def find_config(path: str | Path) -> Path:
    """The config file at ``path``, or the one of that name that comes with matdisc."""
    try:
        return find_asset(path)
    except DataError:
        return Path(path)  # the loader says what is wrong and suggests a near name


def campaign_spec(config: str | Path, overrides: Sequence[str] = ()) -> CampaignSpec:
    """The validated brief of a campaign.

    Raises:
        ConfigError: With one line per problem.
    """
    from matdisc.config import load_config
    from matdisc.discovery.specs import CampaignSpec

    return load_config(find_config(config), CampaignSpec, overrides)


def verify_spec(config: str | Path, overrides: Sequence[str] = ()) -> VerifySpec:
    """The validated settings of a verification.

    Raises:
        ConfigError: With one line per problem.
    """
    from matdisc.config import load_config
    from matdisc.firstprinciples.verify_specs import VerifySpec

    return load_config(find_config(config), VerifySpec, overrides)


def discover(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> CampaignResult:
    """Run a campaign from its brief to checked candidates and a report, or go on with it.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Called as the work goes on.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.discovery.campaign import run_campaign
    from matdisc.reports import build_report

    return run_campaign(
        campaign_spec(config, overrides),
        out=out,
        fresh=fresh,
        device=device,
        progress=progress,
        source_config=find_config(config),
        write_report=build_report,
    )


def verify(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path = Path("runs"),
    fresh: bool = False,
    store: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> VerificationResult:
    """Relax the materials of a config, or go on with it.

    Args:
        config: A YAML file, or the name of one that comes with matdisc.
        overrides: ``a.b=value`` changes of the config.
        out: Folder that holds the runs.
        fresh: Start anew whatever is there.
        store: Job store to share between runs.
        progress: Called after every material.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.firstprinciples.verification import run_verification

    return run_verification(
        verify_spec(config, overrides),
        out=out,
        fresh=fresh,
        store=store,
        progress=progress,
        source_config=find_config(config),
    )


def report(run: str | Path) -> Path:
    """Write the report of a run.

    Raises:
        ArtifactError: If there is no such run.
    """
    from matdisc.reports import build_report

    return build_report(Path(run))


def bench(case: str, size: str = "smoke", device: str = "cpu") -> dict[str, Any]:
    """Measure a benchmark case.

    Raises:
        ConfigError: If there is no such case.
    """
    from matdisc.bench import run_bench

    return run_bench(case, size, device)


def data_list() -> list[dict[str, Any]]:
    """The datasets that come with matdisc: name, measured or computed, rows, targets, licence."""
    from matdisc.data.cards import dataset_cards, is_measured, read_card

    datasets: list[dict[str, Any]] = []
    for name, path in dataset_cards().items():
        if is_measured(path):
            card = read_card(path)
            targets = [f"{t.name} [{t.unit_after_transform}]" for t in card.targets]
            kind, n_rows, licence = "measured", card.n_rows, card.licence
        else:
            from matdisc.config import load_config
            from matdisc.discovery.dataset import RecordCard

            record_card = load_config(path, RecordCard)
            targets = []
            kind, n_rows, licence = "computed", record_card.n_records, record_card.licence
        entry = {"name": name, "kind": kind, "n_rows": n_rows, "targets": targets}
        datasets.append({**entry, "licence": licence})
    return datasets


def data_get(name: str | Path, *, progress: ProgressCallback = no_progress) -> dict[str, Any]:
    """Fetch the file of a dataset; its name, path and SHA-256.

    Args:
        name: A name such as ``ni_superalloys``, a folder with a card, or a card.
        progress: Called while a file is downloaded.

    Raises:
        DataError: If the file cannot be had; says what was tried and what to do.
    """
    from matdisc.data.cards import find_card, is_measured, read_card
    from matdisc.data.fetch import fetch
    from matdisc.runs.files import file_sha256

    path = find_card(name)
    if is_measured(path):
        card = read_card(path)
        file = fetch(card, path.parent, progress=progress)
        return {"name": card.name, "path": str(file), "sha256": file_sha256(file)}
    from matdisc.discovery.dataset import load_record_set

    records = load_record_set(str(path.parent))
    return {"name": records.card.name, "path": str(records.table), "sha256": records.card.sha256}


def data_check(name: str | Path, *, progress: ProgressCallback = no_progress) -> dict[str, Any]:
    """Read a dataset and say what is in it: rows, what was dropped and why, ranges.

    Args:
        name: A name such as ``ni_superalloys``, a folder with a card, or a card.
        progress: Called while a file is downloaded.

    Returns:
        For a measured dataset see :func:`matdisc.data.describe.describe`; for computed records
        their card.

    Raises:
        DataError: If the file cannot be had or is not what the card says.
    """
    from matdisc.data.cards import find_card, is_measured

    path = find_card(name)
    if is_measured(path):
        from matdisc.data.describe import describe
        from matdisc.data.table import load_measurements

        return describe(load_measurements(path, progress=progress))
    from matdisc.discovery.dataset import load_record_set

    return load_record_set(str(path.parent)).card.model_dump(mode="json")
