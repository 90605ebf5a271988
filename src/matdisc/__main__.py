"""``python -m matdisc`` is the command ``matdisc``."""

from __future__ import annotations

import sys

from matdisc.cli import main

if __name__ == "__main__":
    sys.exit(main())
