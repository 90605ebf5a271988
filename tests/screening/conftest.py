"""Devices that the tests of torch code run on."""

from __future__ import annotations

import pytest
import torch

_NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=_NO_GPU)])
def device(request):
    """Every device of this machine."""
    return request.param
