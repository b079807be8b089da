"""Kernels by name: which of those at hand is meant, what is kept of a package, and what Debian offers."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.images import apt, debian, modules, store
from foliolab.framework.kernel.images.apt import Apt, Package

CONFIG = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\nCONFIG_MM_ID=y\nCONFIG_PAGE_MAPCOUNT=y\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., store.Image]:
    """Keep an image of a release."""

    def kept(release: str, config: str | None = CONFIG, names: Sequence[str] = ()) -> store.Image:
        kernel, file = tmp_path / "vmlinuz", tmp_path / "config"
        kernel.write_bytes(b"kernel of " + release.encode())
        file.write_text(config or "")
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.write_bytes(b"module")
        return store.keep(release, kernel, file if config else None, paths, f"test {release}")

    return kept


# -- the folder ----------------------------------------------------------------------------------------
def test_an_image_is_found_again(keep: Callable[..., store.Image]) -> None:
    made = keep("6.12.117+deb13-cloud-amd64", names=["virtio.ko", "virtio_console.ko"])
    assert [path.name for path in made.modules] == ["00-virtio.ko", "01-virtio_console.ko"]
    (found,) = store.images()
    assert found == made and found.origin == "test 6.12.117+deb13-cloud-amd64"
    assert found.kernel.version == (6, 12) and found.kernel.sets("CONFIG_MM_ID")
    assert found.bytes == len(b"kernel of 6.12.117+deb13-cloud-amd64") + 2 * len(b"module")


def test_a_name_means_the_newest_of_that_version(keep: Callable[..., store.Image]) -> None:
    for release in ("6.1.0-50-cloud-amd64", "6.12.9+deb13", "6.12.117+deb13", "6.16.3+deb13"):
        keep(release)
    assert [image.name for image in store.images()] == [
        "6.1.0-50-cloud-amd64", "6.12.9+deb13", "6.12.117+deb13", "6.16.3+deb13",
    ]  # fmt: skip
    assert store.image("6.12").name == "6.12.117+deb13"
    assert store.image("6.12.9").name == "6.12.9+deb13"
    assert store.image("6.1").name == "6.1.0-50-cloud-amd64"
    with pytest.raises(KernelError, match=r"there is no kernel 6.12.1 at hand; there are 6.1.0-50") as caught:
        store.image("6.12.1")
    assert "foliolab kernel get 6.12.1" in caught.value.hint


def test_a_configuration_that_is_unknown_stays_unknown(keep: Callable[..., store.Image]) -> None:
    assert keep("7.0.13+deb13", config=None).kernel.tracking == "configuration unknown"


def test_an_image_is_replaced(keep: Callable[..., store.Image]) -> None:
    keep("6.12.1", names=["virtio.ko"])
    assert keep("6.12.1").modules == () and len(store.images()) == 1


def test_what_is_no_image_is_passed_over(own_cache: Path, keep: Callable[..., store.Image]) -> None:
    keep("6.12.1")
    for name in ("apt", "qemu", "6.13.1", ".foliolab-scratch-x"):
        (own_cache / name).mkdir()
    assert [image.name for image in store.images()] == ["6.12.1"]


def test_a_folder_that_others_can_write_to_is_refused(own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    own_cache.chmod(0o777)
    with pytest.raises(KernelError, match=r"kernels cannot be kept in .*others can write"):
        store.images()


def test_a_kernel_of_ones_own(tmp_path: Path) -> None:
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(bytes(514) + b"HdrS")
    assert store.of_file(kernel).options is None
    (tmp_path / ".config").write_bytes(gzip.compress(CONFIG.encode()))
    found = store.of_file(kernel, kernel)
    assert found.options and found.options["CONFIG_MM_ID"] == "y" and found.initrd == kernel
    with pytest.raises(UsageError, match=r"cannot be read"):
        store.of_file(tmp_path / "none")
    with pytest.raises(UsageError, match=r"\.config is no kernel for x86-64"):
        store.of_file(tmp_path / ".config")


# -- modules -------------------------------------------------------------------------------------------
def module(depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


def test_modules_come_after_those_that_they_depend_on(tmp_path: Path) -> None:
    folder, into = tmp_path / "modules", tmp_path / "out"
    (folder / "drivers").mkdir(parents=True)
    into.mkdir()
    (folder / "drivers/virtio-pci.ko.xz").write_bytes(lzma.compress(module("virtio,virtio_ring")))
    (folder / "drivers/virtio_console.ko").write_bytes(module("virtio_ring,virtio"))
    (folder / "virtio.ko").write_bytes(module("virtio_ring"))
    (folder / "virtio_ring.ko").write_bytes(module(""))
    found = modules.unpacked(folder, ["virtio_pci", "virtio_console"], into)
    assert [path.name for path in found] == ["virtio_ring.ko", "virtio.ko", "virtio_pci.ko", "virtio_console.ko"]
    assert found[2].read_bytes() == module("virtio,virtio_ring")
    with pytest.raises(KernelError, match="no module virtio_net"):
        modules.unpacked(folder, ["virtio_net"], into)


@pytest.mark.parametrize(("name", "data"), [("a.ko.xz", b"no xz"), ("a.ko.zst", b"x")])
def test_a_module_that_cannot_be_unpacked(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(KernelError, match=rf"{name} (cannot be unpacked|is compressed in a way)"):
        modules.unpacked(tmp_path, ["a"], tmp_path)


def test_which_modules_the_channel_needs() -> None:
    assert modules.needed({"CONFIG_VIRTIO_PCI": "y", "CONFIG_VIRTIO_CONSOLE": "y"}) == []
    assert modules.needed({"CONFIG_VIRTIO_PCI": "m", "CONFIG_VIRTIO_CONSOLE": "y"}) == ["virtio_pci"]
    channel = {"CONFIG_VIRTIO_PCI": "y", "CONFIG_VIRTIO_CONSOLE": "y"}
    assert modules.needed(channel | {"CONFIG_BLK_DEV_RAM": "m"}) == []  # without CONFIG_SWAP it is of no use
    assert modules.needed(channel | {"CONFIG_SWAP": "y", "CONFIG_BLK_DEV_RAM": "m"}) == ["brd"]
    assert modules.needed(channel | {"CONFIG_SWAP": "y", "CONFIG_BLK_DEV_RAM": "y"}) == []
    with pytest.raises(KernelError, match="built without CONFIG_VIRTIO_CONSOLE"):
        modules.needed({"CONFIG_VIRTIO_PCI": "y"})


# -- apt -----------------------------------------------------------------------------------------------
SHOWN = """Package: linux-image-7.3.4-cloud-amd64
Version: 7.3.4-1
Depends: dracut | kmod (>= 0.1), linux-base-7.3.4-cloud-amd64 (= 7.3.4-1), linux-modules-7.3.4-cloud-amd64
Size: 1928
Description: with a
 line more

Package: linux-base-7.3.4-cloud-amd64
Version: 7.3.4-1
Size: 1000000
"""


class FakeApt(Apt):
    """apt whose programs answer with what the lists would say, and unpack files as packages do."""

    files: dict[str, bytes]

    def __init__(self, root: Path, suites: Sequence[str], status: Path = Path("/dev/null")) -> None:
        self.root, self.suites = root, tuple(suites)
        self.calls: list[tuple[str, ...]] = []

    @property
    def updated(self) -> float:
        return 0.0

    def _run(self, *words: str, cwd: Path | None = None, may_fail: bool = False) -> str:
        self.calls.append(words)
        if words[1] == "search":
            return "linux-image-7.3.4-cloud-amd64 - Linux\nlinux-image-7.2.12-cloud-amd64 - Linux\n"
        if words[1] == "show":
            return SHOWN
        if words[1] == "download":
            assert cwd is not None
            (cwd / "a.deb").touch()
        if words[0] == "dpkg-deb":
            for name, data in self.files.items():
                path = Path(words[3]) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return ""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> tuple[debian.Debian, list[str]]:
    """Debian, and what it says."""
    said: list[str] = []
    monkeypatch.setattr(debian, "Apt", FakeApt)
    FakeApt.files = {"boot/vmlinuz-7.3.4-cloud-amd64": b"kernel", "boot/config-7.3.4-cloud-amd64": CONFIG.encode()}
    return debian.Debian(said.append), said


def test_what_debian_offers(source: tuple[debian.Debian, list[str]]) -> None:
    found, said = source
    assert said == ["reading Debian's lists of packages (trixie, trixie-backports, bookworm; about 19 MB)"]
    assert found.releases() == ["7.2.12-cloud-amd64", "7.3.4-cloud-amd64"]
    offer = found.offer("7.3")
    assert [one.name for one in offer.packages] == ["linux-image-7.3.4-cloud-amd64", "linux-base-7.3.4-cloud-amd64"]
    assert offer.modules is None and offer.size == 1_001_928
    with pytest.raises(UsageError, match=r"Debian has no kernel 5\.4") as caught:
        found.offer("5.4")
    assert caught.value.hint == "it has 7.2, 7.3"


def test_what_is_kept_of_debians_packages(source: tuple[debian.Debian, list[str]], own_cache: Path) -> None:
    found, _ = source
    image = found.get(found.offer("7.3.4"))
    assert image.vmlinuz.read_bytes() == b"kernel" and image.kernel.sets("CONFIG_MM_ID")
    assert image.origin == "Debian: linux-image-7.3.4-cloud-amd64 7.3.4-1"
    assert sorted(path.name for path in own_cache.iterdir()) == ["7.3.4-cloud-amd64"]
    calls = getattr(found.apt, "calls")  # noqa: B009  (of the fake)
    names = "linux-image-7.3.4-cloud-amd64=7.3.4-1", "linux-base-7.3.4-cloud-amd64=7.3.4-1"
    assert ("apt-get", "download", *names) in calls


def test_a_kernel_whose_configuration_debian_no_longer_has(source: tuple[debian.Debian, list[str]]) -> None:
    found, said = source
    FakeApt.files = {"usr/lib/modules/7.3.4-cloud-amd64/vmlinuz": b"kernel"}
    assert found.get(found.offer("7.3")).options is None
    assert said[-1] == "Debian no longer has the package with the configuration of 7.3.4-cloud-amd64: it is unknown"
    FakeApt.files = {"else": b""}
    with pytest.raises(KernelError, match="have no kernel"):
        found.get(found.offer("7.3"))


def test_without_apt_or_keys_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "PROGRAMS", ("apt-of-nobody",))
    with pytest.raises(KernelError, match="apt-of-nobody is missing here") as caught:
        Apt(tmp_path, ["trixie"])
    assert "--image" in caught.value.hint
    monkeypatch.setattr(apt, "PROGRAMS", ())
    monkeypatch.setattr(apt, "KEYRINGS", (tmp_path / "none.gpg",))
    with pytest.raises(KernelError, match="Debian's keys are missing"):
        Apt(tmp_path, ["trixie"])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Apt]:
    """An apt whose programs do what a function says."""
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    monkeypatch.setattr(apt, "KEYRINGS", (keyring,))
    monkeypatch.setattr(apt, "PROGRAMS", ())

    def made(run: Any) -> Apt:
        monkeypatch.setattr(subprocess, "run", run)
        return Apt(tmp_path / "apt", ["trixie", "bookworm"], tmp_path / "status")

    return made


def test_apt_has_a_root_and_a_state_of_its_own(programs: Callable[[Any], Apt], tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def run(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append({"words": list(words), **options})
        proxy = 'Acquire::http::Proxy "http://proxy:3128/";\nDPkg::Post-Invoke:: "touch /x";\n'
        return subprocess.CompletedProcess(words, 0, proxy if words[0] == "apt-config" else SHOWN, "")

    found = programs(run)
    found.update()
    assert seen[-1]["words"] == kept(["apt-get", "--error-on=any", "update"])  # ends with this process
    config = Path(seen[-1]["env"]["APT_CONFIG"]).read_text()
    assert f'Dir "{tmp_path / "apt"}";' in config and f'Dir::State::status "{tmp_path / "status"}";' in config
    assert 'Acquire::http::Proxy "http://proxy:3128/";' in config and "Post-Invoke" not in config
    sources = (tmp_path / "apt/etc/apt/sources.list").read_text().splitlines()
    assert [line.split()[-2] for line in sources] == ["trixie", "bookworm"]
    assert all(f"signed-by={tmp_path / 'keys.gpg'}" in line for line in sources)
    assert found.packages(["linux-base-7.3.4-cloud-amd64", "none"]) == [
        Package("linux-base-7.3.4-cloud-amd64", "7.3.4-1", 1_000_000, ())
    ]


def test_a_failure_of_apt_is_quoted(programs: Callable[[Any], Apt]) -> None:
    def run(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 100, "", "N: x\nE: Failed to fetch http://deb\n")

    with pytest.raises(KernelError, match=r"apt-get --error-on=any failed: E: Failed to fetch http://deb"):
        programs(run).update()


def test_lists_of_other_suites_are_read_anew(programs: Callable[[Any], Apt], tmp_path: Path) -> None:
    found = programs(lambda words, **options: subprocess.CompletedProcess(words, 0, "", ""))
    assert found.updated == 0.0
    lists = tmp_path / "apt/var/lib/apt/lists"
    (lists / "deb.debian.org_debian_dists_trixie_InRelease").touch()
    assert found.updated == 0.0
    (lists / "deb.debian.org_debian_dists_bookworm_InRelease").touch()
    assert found.updated > 0
