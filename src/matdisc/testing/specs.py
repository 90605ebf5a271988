"""What every spec promises."""

from __future__ import annotations

import json

from matdisc.config import Spec

__all__ = ["check_spec"]


def check_spec(spec: Spec) -> None:
    """Check that a spec survives JSON, is described and builds something.

    Raises:
        AssertionError: If not; says which promise is broken.
    """
    model = type(spec)
    name = model.__name__
    kind = getattr(spec, "kind", None)
    assert isinstance(kind, str), f"{name} needs a field `kind`"
    assert model.model_fields["kind"].default == kind, f"{name}.kind needs its own default"
    assert model.__doc__, f"{name} needs a docstring"
    values = json.loads(json.dumps(spec.model_dump(mode="json"), allow_nan=False))
    assert model.model_validate(values) == spec, f"{name} does not survive JSON"
    assert callable(getattr(spec, "build", None)), f"{name} needs a method build()"
