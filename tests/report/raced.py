"""A counterexample whose texts attack the page that shows them, and its plugin."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from foliolab.framework.plugins import registry
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.timeline import Timeline

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e\u2028&amp;"


def plugin_in(folder: Path) -> Path:
    """The policy `never` of `tests/plugins.py`, as a plugin file in a folder."""
    spec = importlib.util.spec_from_file_location("foliolab_test_plugins", Path(__file__).parents[1] / "plugins.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written: Path = module.write_never(folder)
    return written


def raced(plugin: Path, **changes: object) -> Counterexample:
    """One thread asks while the other unmaps; the policy always says exclusive."""
    given: dict[str, object] = {
        "policy": "never",
        "plugin": str(plugin),
        "attack": "explored",
        "law": "safe",
        "claim": "safe",
        "message": HOSTILE,
        "shape": {"nr_pages": 16, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
        "setup": ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"],
        "threads": [["maybe_shared pfn=0"], ["unmap mm=1 start=0 nr=1"]],
        "schedule": "0*1 1*200 0*9",
        "command": HOSTILE,
    }
    return Counterexample(**given | changes)  # type: ignore[arg-type]


def played(plugin: Path, **changes: object) -> Timeline:
    """The counterexample after it was played."""
    return Timeline(raced(plugin, **changes), registry.load([plugin]).policy("never"))
