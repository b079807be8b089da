"""`foliolab kernel list`, `get` and `check --kernel`: what they print and refuse. No guest is booted here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foliolab.framework.kernel import matrix, running, survey
from foliolab.framework.kernel.check import Agreement
from foliolab.framework.kernel.guest import fetching, qemu
from foliolab.framework.kernel.images import build, build_tools, debian, sources, store
from foliolab.framework.kernel.images.apt import Package
from foliolab.framework.kernel.matrix import Row
from foliolab.framework.kernel.running import Running

Run = Callable[..., Any]
OPTIONS = "CONFIG_TRANSPARENT_HUGEPAGE=y\nCONFIG_MM_ID=y\nCONFIG_PAGE_MAPCOUNT=y\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(running, "read", lambda: Running("6.18.44", None))
    return tmp_path


@pytest.fixture
def kernels(tmp_path: Path) -> None:
    """Two images: one with a configuration, one without."""
    (tmp_path / "vmlinuz").write_bytes(bytes(2_000_000))
    (tmp_path / "config").write_text(OPTIONS)
    store.keep("7.3.4+deb13", tmp_path / "vmlinuz", tmp_path / "config", [], "Debian: linux-image 7.3.4-1")
    store.keep("6.12.117+deb13", tmp_path / "vmlinuz", None, [], "Debian: linux-image 6.12.117-1")


# -- list -------------------------------------------------------------------------------------------------
def test_nothing_is_at_hand(foliolab: Run) -> None:
    done = foliolab("kernel", "list")
    assert done.code == 0 and done.out.splitlines()[0] == "6.18.44  the running kernel"
    assert "configuration unknown" in done.out and "no policy claims to model it" in done.out
    assert done.out.endswith("No kernel for guests is at hand; `foliolab kernel get 6.12` fetches one.\n")


def test_what_is_at_hand(foliolab: Run, kernels: None) -> None:
    text = foliolab("kernel", "list").out
    assert "6.12.117+deb13  2 MB, Debian: linux-image 6.12.117-1" in text and "modelled by page-mapcount" in text
    assert "CONFIG_TRANSPARENT_HUGEPAGE=y, CONFIG_MM_ID=y, CONFIG_PAGE_MAPCOUNT=y\n  · modelled by mm-id" in text
    found = json.loads(foliolab("kernel", "list", "--json").out)["kernels"]
    assert [one["name"] for one in found] == ["6.18.44", "6.12.117+deb13", "7.3.4+deb13"]
    assert [one["policies"] for one in found] == [[], ["page-mapcount"], ["mm-id"]]


# -- get --------------------------------------------------------------------------------------------------
@pytest.fixture
def debians(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Debian that has two kernels; the releases that were downloaded."""
    downloaded: list[str] = []

    def offer(name: str) -> debian.Offer:
        release = {"7.3": "7.3.4+deb13", "6.16": "6.16.12+deb13"}[name]
        return debian.Offer(release, (Package(f"linux-image-{release}", "1", 13_000_000, ()),), None)

    def get(offer: debian.Offer) -> store.Image:
        downloaded.append(offer.release)
        return SimpleNamespace(name=offer.release, bytes=12e6, vmlinuz=Path("/kernels/x/vmlinuz"))  # type: ignore[return-value]

    made = SimpleNamespace(offer=offer, get=get, releases=lambda: ["6.16.12+deb13", "7.3.4+deb13"])
    monkeypatch.setattr(debian, "Debian", lambda tell: made)
    return downloaded


def test_what_would_be_downloaded_is_said_first(foliolab: Run, debians: list[str], kernels: None) -> None:
    done = foliolab("kernel", "get", "7.3", "6.16", "--dry-run")
    assert done.code == 0 and debians == []
    assert done.out.splitlines() == [
        "7.3.4+deb13: at hand",
        "6.16.12+deb13: up to 13 MB: linux-image-6.16.12+deb13",
        "1 to download, up to 13 MB",
    ]
    assert "6.16.12+deb13: 12 MB in /kernels/x" in foliolab("kernel", "get", "7.3,6.16").out
    assert debians == ["6.16.12+deb13"]


def test_without_a_name_the_versions_are_listed(foliolab: Run, debians: list[str]) -> None:
    assert foliolab("kernel", "get").out == "6.16.12+deb13\n7.3.4+deb13\n"


def test_qemu_is_a_name_too(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[bool] = []
    monkeypatch.setattr(fetching, "fetch", lambda tell, dry_run: fetched.append(dry_run))
    assert foliolab("kernel", "get", "qemu").code == 0 and fetched == [False]


def test_build_tools_are_a_name_too(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[bool] = []
    monkeypatch.setattr(build_tools, "fetch", lambda tell, dry_run: fetched.append(dry_run))
    assert foliolab("kernel", "get", "build-tools", "--dry-run").code == 0 and fetched == [True]


# -- build ------------------------------------------------------------------------------------------------
@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[build.Recipe]:
    """Tools that are there, and a build that ends at once, or is interrupted if a file is called `slow`."""
    made: list[build.Recipe] = []

    def run(self: build.Build) -> store.Image:
        made.append(self.recipe)
        if (self.recipe.tree / "slow").exists():
            raise KeyboardInterrupt
        return store.keep(f"7.3.4-{self.recipe.name}", self.recipe.tree / "Makefile", None, [], "built from a tree")

    monkeypatch.setattr(build_tools, "tools", lambda: build_tools.Tools({}))
    monkeypatch.setattr(build.Build, "run", run)
    return made


def test_a_kernel_is_built_from_a_folder(foliolab: Run, builds: list[build.Recipe], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "arch/x86").mkdir(parents=True)
    for part in build.PARTS:
        (tree / part).touch()
    words = ("kernel", "build", str(tree), "--set", "CONFIG_NO_PAGE_MAPCOUNT=y")
    assert foliolab(*words, "--dry-run").out.startswith("no-page-mapcount: to be built in ") and builds == []
    assert foliolab(*words).out.startswith("7.3.4-no-page-mapcount: 0 MB in ")
    assert builds[0].options == {"CONFIG_NO_PAGE_MAPCOUNT": "y"} and builds[0].origin == str(tree)
    assert "7.3.4-no-page-mapcount  0 MB, built from a tree" in foliolab("kernel", "list").out
    (tree / "slow").touch()
    done = foliolab(*words, "--name", "mine")
    assert done.code == 130 and "0 files are compiled in" in done.err and "the same command goes on" in done.err
    assert foliolab("kernel", "build", str(tmp_path)).code == 2


def test_a_kernel_is_built_from_debians_tree(
    foliolab: Run, builds: list[build.Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("linux-source-7.3", "7.3.4-1", 167_000_000, ())
    monkeypatch.setattr(debian, "Debian", lambda tell: SimpleNamespace(apt=None))
    monkeypatch.setattr(sources, "offer", lambda apt, wanted: package)
    monkeypatch.setattr(sources, "get", lambda apt, package, progress: pytest.fail("it is only a dry run"))
    done = foliolab("kernel", "build", "debian:7.3", "--dry-run")
    assert done.out.startswith("linux-source-7.3 7.3.4-1: 167 MB to download; its tree takes 1.7 GB: ")
    assert done.out.splitlines()[1].startswith("built: to be built in ") and builds == []


# -- scenarios --------------------------------------------------------------------------------------------
def test_scenarios_are_played_and_kept(foliolab: Run, kernels: None, tmp_path: Path, monkeypatch: Any) -> None:
    def play(images: Sequence[store.Image], scenarios: Sequence[Any], command: str, progress: Any) -> Any:
        for image in reversed(images):
            yield survey.Deeds(image.name, "Linux", "2026", command, [survey.Deed(one.name, "") for one in scenarios])

    monkeypatch.setattr(survey, "play_all", play)
    file = tmp_path / "kernels.json"
    done = foliolab("kernel", "scenarios", "third-stays", "--kernel", "6.12,7.3", "--save", str(file))
    assert done.code == 0 and done.out.splitlines()[0].split() == ["scenario", "6.12.117+deb13", "7.3.4+deb13"]
    assert [one.name for one in survey.load(file)] == ["6.12.117+deb13", "7.3.4+deb13"]
    assert foliolab("kernel", "scenarios").code == 2
    assert foliolab("kernel", "scenarios", "no-such", "--matrix").code == 2


# -- check ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--kernel", "6.12"], 3, "there is no kernel 6.12 at hand"),
        (["--matrix"], 3, "no kernel is at hand"),
        (["--image", "/there/is/none"], 2, "/there/is/none cannot be read"),
        (["--image", "/"], 2, "/ cannot be read"),
        (["--image", __file__], 2, "test_kernel_guests.py is no kernel for x86-64"),
        (["--initrd", "/there/is/none"], 2, "--initrd goes with a kernel"),
    ],
)
def test_kernels_that_are_not_there(foliolab: Run, arguments: Sequence[str], code: int, says: str) -> None:
    done = foliolab("kernel", "check", *arguments)
    assert done.code == code and says in done.err and "Traceback" not in done.err


def test_what_guests_do_not_do(foliolab: Run, kernels: None) -> None:
    done = foliolab("kernel", "check", "--kernel", "7.3", "--self-test")
    assert done.code == 2 and "are for the running kernel" in done.err


def test_without_qemu(foliolab: Run, kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "PROGRAM", "qemu-of-nobody")
    done = foliolab("kernel", "check", "--kernel", "7.3")
    assert done.code == 3 and done.out == ""
    assert "QEMU is missing" in done.err or "guests need Linux on x86-64" in done.err


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows that guests make, and a QEMU that nobody starts."""
    made: list[Row] = []
    monkeypatch.setattr(matrix, "rows", lambda *arguments, **options: iter(made))
    monkeypatch.setattr(qemu, "qemu", SimpleNamespace)
    monkeypatch.setattr(qemu, "kvm_missing", lambda program: "/dev/kvm: Permission denied")
    return made


def agreed(writes: int) -> Agreement:
    return Agreement({(True, "copied", "copied"): writes}, scenarios=3, complete=True)


def test_kernels_that_agree(foliolab: Run, kernels: None, rows: list[Row]) -> None:
    rows += [
        Row("7.3.4+deb13", "Linux 7.3.4", ("mm-id",), agreements={"mm-id": agreed(7)}),
        Row("6.12.117+deb13", "Linux 6.12", ("page-mapcount",), agreements={"page-mapcount": agreed(8)}),
    ]
    done = foliolab("kernel", "check", "--matrix")
    assert done.code == 0, done.err
    assert "guests run under TCG, which is slower (/dev/kvm: Permission denied)" in done.err
    assert [line.split()[0] for line in done.out.splitlines()[1:3]] == ["6.12.117+deb13", "7.3.4+deb13"]
    assert "2 of 2 kernels" in done.out and "(15 page writes)" in done.out
    found = json.loads(foliolab("kernel", "check", "--matrix", "--json").out)
    assert [one["behaves_like"] for one in found["kernels"]] == [["page-mapcount"], ["mm-id"]]


def test_a_lost_kernel_is_named_and_makes_the_exit_code_1(foliolab: Run, kernels: None, rows: list[Row]) -> None:
    rows += [
        Row("7.3.4+deb13", "Linux 7.3.4", ("mm-id",), agreements={"mm-id": agreed(7)}),
        Row("6.12.117+deb13", lost="it does not boot"),
    ]
    done = foliolab("kernel", "check", "--matrix")
    assert done.code == 1 and "1 of 2 kernels were lost" in done.err and "6.12.117+deb13: it does not boot" in done.err
    rows[:] = [Row("7.3.4+deb13", lost="it does not boot")]
    assert foliolab("kernel", "check", "--kernel", "7.3").code == 3
