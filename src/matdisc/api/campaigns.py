"""Campaigns and checks from first principles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.discovery.opinion_specs import SecondOpinionSpec
    from matdisc.discovery.specs import CampaignSpec
    from matdisc.firstprinciples.verify_specs import VerifySpec
    from matdisc.runs import FinishedRun

from matdisc.api.configs import find_config

__all__ = ["campaign_spec", "discover", "opinion_spec", "second_opinion", "verify", "verify_spec"]


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
) -> FinishedRun:
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
) -> FinishedRun:
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


def opinion_spec(
    engine: str, overrides: Sequence[str] = (), top: int | None = None
) -> SecondOpinionSpec:
    """The validated settings of a second opinion: what the engine can afford, then overrides.

    Raises:
        ConfigError: If there is no such engine, or with one line per problem.
    """
    from matdisc.config import apply_overrides, plugin_spec, validate
    from matdisc.discovery.opinion_specs import SecondOpinionSpec, affordable_recipe

    spec: Any = plugin_spec("matdisc.engines", engine)()
    raw: dict[str, Any] = {"recipe": affordable_recipe(engine, spec.build().level)}
    raw |= {} if top is None else {"top": top}
    return validate(apply_overrides(raw, overrides), SecondOpinionSpec, f"--engine {engine}")


def second_opinion(
    campaign: str | Path,
    engine: str,
    overrides: Sequence[str] = (),
    *,
    top: int | None = None,
    out: Path | None = None,
    fresh: bool = False,
    store: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> FinishedRun:
    """Compute the best of a finished campaign again with another engine, or go on with it.

    Args:
        campaign: The campaign's run directory; not changed.
        engine: Kind of the engine, such as ``gpaw`` or ``chgnet``.
        overrides: ``a.b=value`` changes of the settings, such as ``recipe.engine.cutoff_ev=500``.
        top: So many of the best; three if not given.
        out: Folder that holds the runs; beside the campaign if not given, where the campaign's
            report finds the opinion.
        fresh: Start anew whatever is there.
        store: Job store to share between runs.
        progress: Called after every material.

    Raises:
        MatdiscError: With what to do about it.
    """
    from matdisc.discovery.opinions import run_second_opinion
    from matdisc.reports import build_report

    campaign = Path(campaign)
    return run_second_opinion(
        campaign,
        opinion_spec(engine, overrides, top),
        out=campaign.resolve().parent if out is None else out,
        fresh=fresh,
        store=store,
        progress=progress,
        write_report=build_report,
    )
