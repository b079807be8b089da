"""Kernels built from a tree: a tiny tree of our own obeys the targets that a build uses. No kernel is compiled here.

With FOLIOLAB_TEST_BUILD=TREE (a folder, or debian:7.3) a real kernel is built, and a guest boots it.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foliolab.framework.errors import FolioLabError, KernelError, UsageError
from foliolab.framework.kernel.images import build, build_tools, debian, host_packages, sources, store
from foliolab.framework.kernel.images.apt import Package
from foliolab.framework.kernel.images.build import Build, Recipe
from foliolab.framework.kernel.images.build_tools import Tools

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
REAL = os.environ.get("FOLIOLAB_TEST_BUILD", "")
OPTION = {"CONFIG_NO_PAGE_MAPCOUNT": "y"}
MAKEFILE = r"""
ifndef O
$(error nothing is built in the tree)
endif
allnoconfig:
	@test -z "$(MY_OWN)"
	@grep -v -f "$(CURDIR)/lacks" "$(KCONFIG_ALLCONFIG)" > "$(O)/.config"
bzImage:
	@for f in a b c; do \
		test -e "$(O)/$$f.o" && continue; \
		test -e "$(CURDIR)/$$f.wrong" && echo "mm/$$f.c:7:1: error: wrong" >&2 && exit 1; \
		touch "$(O)/$$f.o"; echo "  CC      mm/$$f.o"; sleep `cat "$(CURDIR)/seconds"`; \
	done
	@mkdir -p "$(O)/arch/x86/boot" "$(O)/include/config"
	@cat "$(O)/"*.o > "$(O)/arch/x86/boot/bzImage"
	@sed -n 's/CONFIG_LOCALVERSION="\(.*\)"/7.3.4\1/p' "$(O)/.config" > "$(O)/include/config/kernel.release"
"""
NOTHING = Tools({"PATH": os.environ.get("PATH", os.defpath)})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not REAL:
        monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of our own, whose Makefile obeys the targets that a build uses."""
    made = tmp_path / "tree"
    (made / "arch/x86").mkdir(parents=True)
    (made / "Makefile").write_text(MAKEFILE)
    for name, text in (("Kconfig", ""), ("arch/x86/Kconfig", ""), ("lacks", "CONFIG_NOBODY\n"), ("seconds", "0")):
        (made / name).write_text(text)
    return made


def recipe(tree: Path, options: dict[str, str] | None = None) -> Recipe:
    chosen = OPTION if options is None else options
    return Recipe(tree, chosen, build.name_of(chosen), "a tree of ours")


def built(made: Recipe, progress: build.Progress = lambda *words: None) -> store.Image:
    return Build(made, NOTHING, 1, progress).run()


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


# -- a build -------------------------------------------------------------------------------------------
@needs_make
def test_what_is_built_is_an_image_like_others(tree: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MY_OWN", "MAKEFLAGS", "O", "KBUILD_OUTPUT"):
        monkeypatch.setenv(name, "kept from make")
    before, told = files(tree), []
    made = recipe(tree)
    image = built(made, lambda *words: told.append(words))
    assert image.name == "7.3.4-no-page-mapcount" and image.origin.startswith("built from a tree of ours, CONFIG_NO")
    assert image.kernel.sets("CONFIG_NO_PAGE_MAPCOUNT") and image.kernel.sets("CONFIG_VIRTIO_CONSOLE")
    assert image.kernel.version == (7, 3) and image.built
    assert files(tree) == before, "the tree is only read"
    assert not made.folder.exists() and [one.name for one in store.images()] == [image.name]
    assert told == [("configuring", 0, 0), *(("compiling", done, build.FILES) for done in (1, 2, 3))]


@needs_make
def test_an_option_that_the_tree_cannot_have(tree: Path) -> None:
    made = recipe(tree, {"CONFIG_NOBODY": "y"})
    with pytest.raises(KernelError, match=r"has no CONFIG_NOBODY=y in this configuration: it is n"):
        built(made)
    assert not made.folder.exists() and store.images() == []
    (tree / "lacks").write_text("CONFIG_VIRTIO_CONSOLE\n")
    with pytest.raises(KernelError, match="the kernel is built without CONFIG_VIRTIO_CONSOLE"):
        built(recipe(tree))


@needs_make
def test_a_build_that_fails_is_quoted_and_goes_on_where_it_was(tree: Path) -> None:
    (tree / "b.wrong").touch()
    made, told = recipe(tree), []
    with pytest.raises(KernelError, match=r"make bzImage failed: mm/b\.c:7:1: error: wrong") as caught:
        built(made)
    assert str(made.folder / "log") in caught.value.hint and "error: wrong" in (made.folder / "log").read_text()
    (tree / "b.wrong").unlink()
    built(made, lambda *words: told.append(words[1]))
    assert told == [0, 2, 3], "one file was compiled before"


@needs_make
def test_ctrl_c_leaves_no_make_and_the_same_build_goes_on(tree: Path) -> None:
    (tree / "seconds").write_text("600")

    def stop(what: str, done: int, whole: int) -> None:
        if done:
            raise KeyboardInterrupt

    made = recipe(tree)
    running = Build(made, NOTHING, 1, stop)
    with pytest.raises(KeyboardInterrupt):
        running.run()
    assert running.compiled == 1 and not processes(made.folder)
    (tree / "seconds").write_text("0")
    assert built(made).name == "7.3.4-no-page-mapcount"


@needs_make
@pytest.mark.skipif(sys.platform != "linux", reason="a child ends with its parent on Linux only")
def test_kill_9_leaves_no_make(tree: Path) -> None:
    (tree / "seconds").write_text("600")
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from foliolab.framework.kernel.images.build import Build, Recipe\n"
        "from foliolab.framework.kernel.images.build_tools import Tools\n"
        "told = lambda *words: print(words, flush=True)\n"
        "Build(Recipe(Path(sys.argv[1]), {}, 'built', 'ours'), Tools({'PATH': sys.argv[2]}), 1, told).run()\n"
    )
    words = [sys.executable, "-c", program, str(tree), NOTHING.environment["PATH"]]
    folder = recipe(tree, {}).folder
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "compiling" not in process.stdout.readline():
            assert process.poll() is None
        assert processes(folder)
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 60
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes(folder)


def processes(folder: Path) -> list[int]:
    """The processes whose current folder or command is about a build."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (path / "cmdline").read_text().replace("\0", " "):
                found.append(int(path.name))
        except OSError:
            continue
    return found


@needs_make
def test_two_builds_of_the_same_do_not_meet(tree: Path) -> None:
    made = recipe(tree)

    def again(what: str, done: int, whole: int) -> None:
        with pytest.raises(KernelError, match="another command builds in"):
            built(made)

    built(made, again)


def test_which_trees_are_refused(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.check_tree(tree)
    with pytest.raises(UsageError, match="is no tree of the kernel: it has no Makefile"):
        build.check_tree(tmp_path)
    blank = tree.rename(tmp_path / "my tree")
    with pytest.raises(UsageError, match="no path with blanks"):
        build.check_tree(blank)
    tree = blank.rename(tmp_path / "tree")
    (tree / ".config").touch()
    with pytest.raises(UsageError, match=r"is not clean, so nothing can be built outside of it: it has \.config"):
        build.check_tree(tree)
    (tree / ".config").unlink()
    if os.geteuid() == 0:
        os.chown(tree, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UsageError, match="its Makefile would run as root"):
        build.check_tree(tree)


def test_options_and_the_name_that_follows() -> None:
    found = build.options(["CONFIG_NO_PAGE_MAPCOUNT=y", "CONFIG_KSM=n", "CONFIG_NR_CPUS=4"])
    assert build.name_of(found) == "no-page-mapcount.without-ksm.nr-cpus-4" and build.name_of({}) == "built"
    text = Recipe(Path("/t"), found, "mine", "ours").fragment.splitlines()
    assert "CONFIG_NR_CPUS=4" in text and "CONFIG_NR_CPUS=8" not in text and "# CONFIG_KSM is not set" in text
    for wrong in ("NO_PAGE_MAPCOUNT=y", "CONFIG_X", "CONFIG_X=m", 'CONFIG_X="a"\nCONFIG_Y=y'):
        with pytest.raises(UsageError, match="sets no option"):
            build.options([wrong])
    with pytest.raises(UsageError, match="CONFIG_X is set twice"):
        build.options(["CONFIG_X=y", "CONFIG_X=n"])
    with pytest.raises(UsageError, match="cannot be part of a release"):
        Recipe(Path("/t"), {}, "Upper Case", "ours")


def test_a_built_kernel_is_asked_for_by_the_end_of_its_release(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"k")
    store.keep("7.3.4+deb13-cloud-amd64", tmp_path / "k", None, [], "Debian: linux-image")
    store.keep("7.3.9-no-page-mapcount", tmp_path / "k", None, [], f"{store.BUILT}a tree")
    assert store.image("7.3").name == "7.3.4+deb13-cloud-amd64"
    assert store.image("no-page-mapcount").name == store.image("7.3.9").name == "7.3.9-no-page-mapcount"


# -- what a build takes --------------------------------------------------------------------------------
def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build_tools, "INCLUDES", (tmp_path,))
    with pytest.raises(KernelError, match=r"without gcc, ld, make, flex, bison, bc, gelf\.h") as caught:
        build_tools.tools()
    assert "apt install gcc binutils make flex bison bc libelf-dev" in caught.value.hint
    for name in ("gcc", "ld", "make", "bc"):
        (tmp_path / name).touch(0o755)
    with pytest.raises(KernelError, match=r"without flex, bison, gelf\.h\n") as caught:
        build_tools.tools()
    assert "or `foliolab kernel get build-tools`" in caught.value.hint
    fetched = build_tools.root()
    for name in ("usr/bin/flex", "usr/bin/bison", "usr/bin/m4", "usr/include/gelf.h"):
        (fetched / name).parent.mkdir(parents=True, exist_ok=True)
        (fetched / name).touch(0o755)
    found = build_tools.tools()
    assert found.environment["PATH"] == f"{fetched}/usr/bin:{tmp_path}"
    assert found.environment["M4"] == f"{fetched}/usr/bin/m4"
    assert f"HOSTCFLAGS=-I{fetched}/usr/include" in found.variables


def test_what_is_fetched_leads_to_the_libraries_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(names: Sequence[str], target: Path, instead: str, tell: object, dry_run: bool) -> None:
        assert "libelf-dev" in names and "flex" in names
        (target / build_tools.LIBRARIES).mkdir(parents=True)
        (target / build_tools.LIBRARIES / "libelf.so").symlink_to("libelf.so.1")

    (tmp_path / "libelf.so.1").touch()
    monkeypatch.setattr(build_tools, "HOST_LIBRARIES", (tmp_path,))
    monkeypatch.setattr(host_packages, "fetch", fetch)
    build_tools.fetch(print)
    assert (build_tools.root() / build_tools.LIBRARIES / "libelf.so").resolve() == tmp_path / "libelf.so.1"


# -- Debian's trees ------------------------------------------------------------------------------------
PACKAGE = Package("linux-source-7.3", "1:7.3.4-1", 150_000_000, ())


def fake_apt(archive: bytes, name: str = "linux-source-7.3.tar.xz") -> Any:
    """An apt that unpacks a package with one file."""

    def fetch(packages: Sequence[Package], into: Path) -> None:
        (into / "usr/src").mkdir(parents=True)
        (into / "usr/src" / name).write_bytes(archive)

    return SimpleNamespace(
        fetch=fetch,
        packages=lambda names: [PACKAGE] if names == [PACKAGE.name] else [],
        names=lambda pattern: ["linux-source-7.3", "linux-source-6.12"],
    )


def archive_of(*names: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name), io.BytesIO())
    return held.getvalue()


def test_which_trees_debian_has() -> None:
    assert (sources.version("debian:7.3"), sources.version("linux-source-6.12")) == ("7.3", "6.12")
    assert sources.version("/home/me/linux") == sources.version("debian:sid") == ""
    assert sources.offer(fake_apt(b""), "7.3") == PACKAGE
    with pytest.raises(UsageError, match=r"Debian has no tree of 5\.4") as caught:
        sources.offer(fake_apt(b""), "5.4")
    assert caught.value.hint.startswith("it has 6.12, 7.3")


def test_a_tree_of_debian_is_unpacked_once(own_cache: Path) -> None:
    good = fake_apt(archive_of("linux-source-7.3/Makefile", "linux-source-7.3/mm/rmap.c"))
    made = sources.get(good, PACKAGE, lambda *words: None)
    assert made.name == "linux-source-7.3-1_7.3.4-1" and (made / "mm/rmap.c").is_file()
    assert sources.get(fake_apt(b"not asked again"), PACKAGE, lambda *words: None) == made
    sources.remove(PACKAGE)
    assert list((own_cache / "sources").iterdir()) == []


@pytest.mark.parametrize(
    ("archive", "name", "says"),
    [
        (archive_of("x/Makefile")[:70], "linux-source-7.3.tar.xz", "cannot be unpacked"),
        (b"no archive", "linux-source-7.3.tar.xz", "cannot be unpacked"),
        (archive_of("a/x", "b/x"), "linux-source-7.3.tar.xz", "cannot be unpacked"),
        (archive_of("x/Makefile"), "README", "has no tree"),
    ],
    ids=["cut off", "no archive", "two folders", "another file"],
)
def test_a_damaged_tree_leaves_nothing(archive: bytes, name: str, says: str, own_cache: Path) -> None:
    with pytest.raises(KernelError, match=says):
        sources.get(fake_apt(archive, name), PACKAGE, lambda *words: None)
    assert list((own_cache / "sources").iterdir()) == []


# -- a real kernel -------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif(not REAL, reason="FOLIOLAB_TEST_BUILD=TREE builds a kernel; it takes many minutes")
def test_a_real_kernel_is_built_and_witnesses_its_policy() -> None:
    from foliolab.framework.kernel import matrix
    from foliolab.framework.kernel.matrix import Plan
    from foliolab.framework.plugins.registry import load
    from foliolab.framework.scenario.generate import Mix

    try:
        tools = build_tools.tools()
    except FolioLabError as fault:
        pytest.skip(f"{fault.what}; {fault.hint}")
    place = Path(REAL)
    if wanted := sources.version(REAL):
        source = debian.Debian(print).apt
        place = sources.get(source, sources.offer(source, wanted), lambda *words: None)
    image = Build(recipe(place), tools, os.cpu_count() or 1, lambda *words: None).run()
    schemes = [load().policy("no-page-mapcount")]
    row = matrix.guest_row(image, schemes, Plan(100, 1, Mix()))
    assert row.lost == "" and row.claims == ("no-page-mapcount",) == tuple(row.behaves_like)
