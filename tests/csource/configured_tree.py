"""The tests' kernel tree as kbuild leaves it: with generated headers, a configuration, and headers of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

TREE = Path(__file__).with_name("tree")
HEADERS = Path(__file__).with_name("configured")
OPTIONS = ("X86_64", "64BIT", "SMP", "MMU", "TRANSPARENT_HUGEPAGE", "SPARSEMEM_VMEMMAP", "MEMCG", "DEBUG_VM")


def configured(folder: Path, options: Iterable[str] = ("MM_ID", "PAGE_MAPCOUNT"), build: Path | None = None) -> Path:
    """The tree in a folder of its own, configured with some options.

    Args:
        build: the folder that gets what kbuild makes; None: the tree itself.
    """
    tree = shutil.copytree(TREE, folder / "linux")
    shutil.copytree(HEADERS / "include/linux", tree / "include/linux", dirs_exist_ok=True)
    made = build or tree
    for part in ("include/generated", "arch/x86/include/generated"):
        shutil.copytree(HEADERS / part, made / part)
    chosen = (*OPTIONS, *options)
    (made / "include/generated/autoconf.h").write_text("".join(f"#define CONFIG_{one} 1\n" for one in chosen))
    (made / ".config").write_text("".join(f"CONFIG_{one}=y\n" for one in chosen))
    if build is not None:
        (made / "source").symlink_to(tree)
    return tree
