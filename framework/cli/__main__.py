"""`python -m foliolab.framework.cli` is `foliolab`."""

from __future__ import annotations

from foliolab.framework.cli import main

if __name__ == "__main__":
    main()
