"""Discovery: what is found, what a broken plugin costs, and what users may write."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.plugins import discovery, dry_run
from foliolab.framework.plugins import registry as registry_module
from foliolab.framework.plugins.kinds import Kind
from foliolab.framework.plugins.registry import PluginFailure, Registry, load

BUILT_IN = {
    "page-mapcount", "estimated-sharers", "likely-mapped-shared", "mm-id-v1", "mm-id", "no-page-mapcount",
    "total-mapped-pages", "rmap-id", "owner-vma", "exact",
}  # fmt: skip


def _plugins() -> Any:
    """`plugins.py` beside this file; the tests are no package."""
    spec = importlib.util.spec_from_file_location("foliolab_test_plugins", Path(__file__).with_name("plugins.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plugins = _plugins()


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLIOLAB_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("FOLIOLAB_PLUGINS", "off")
    monkeypatch.delenv("FOLIOLAB_STRICT_PLUGINS", raising=False)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def failure_of(path: Path) -> PluginFailure:
    found = load([path])
    assert found.policies.keys() >= BUILT_IN
    (failure,) = found.failures
    return failure


# -- what is found -------------------------------------------------------------------------------
def test_the_built_in_plugins_arrive_by_entry_point(registry: Registry) -> None:
    assert registry.failures == []
    assert registry.policies.keys() >= BUILT_IN
    assert "munmap" in registry.workloads
    assert [path.name for path in registry.published.values()] == ["published.toml"]
    assert registry.origin("mm-id") == ("entry", "policies")
    assert {p.version for p in registry.plugins} == {importlib.metadata.version("foliolab")}


def test_a_file_may_just_hold_a_policy(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    found = load([path])
    assert found.failures == []
    assert found.policy("good").name == "good"
    assert found.origin(found.policy("good")) == ("file", str(path))
    assert found.files() == [str(path)]
    assert not (tmp_path / "__pycache__").exists()


def test_a_file_may_hold_several_policies_or_hooks(tmp_path: Path) -> None:
    several = tmp_path / "several.py"
    more = "\nfrom dataclasses import replace\nPOLICY = [POLICY, replace(POLICY, name='two')]\n"
    several.write_text(plugins.GOOD.replace("NAME", "one") + more)
    hooks = tmp_path / "hooks.py"
    text = "@hookimpl\ndef foliolab_policies():\n    yield POLICY\n"
    hooks.write_text(plugins.GOOD.replace("NAME", "three") + plugins.HOOK + text)
    found = load([several, hooks])
    assert found.failures == []
    assert found.policies.keys() >= {"one", "two", "three"}


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    assert load([path]).policies["good"].summary == "stores a word and knows nothing"
    path.write_text(path.read_text().replace("nothing", "a thing"))
    assert load([path]).policies["good"].summary == "stores a word and knows a thing"


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = plugins.write_good(tmp_path / "a", "good")
    other = tmp_path / "b" / "good.py"
    other.write_text(plugins.GOOD.replace("NAME", "better"))
    found = load([one, other])
    assert found.failures == []
    good, better = (found.policies[name].hooks.new_anon for name in ("good", "better"))
    assert good.__module__ != better.__module__


def test_the_same_file_twice_is_one_plugin(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    (tmp_path / "link.py").symlink_to(path)
    assert load([path, path, tmp_path / "link.py"]).failures == []


def test_what_a_plugin_prints_is_not_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = plugins.write_good(tmp_path)
    path.write_text("print('hello')\n" + path.read_text())
    assert load([path]).failures == []
    assert capsys.readouterr() == ("", "hello\n")


# -- the user's folder, selection ----------------------------------------------------------------
def test_a_users_folder_that_may_not_be_read_is_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = Path.is_dir

    def is_dir(self: Path) -> bool:
        if self.name == "plugins":
            raise PermissionError(13, "Permission denied")
        return real(self)

    monkeypatch.setenv("FOLIOLAB_CONFIG", str(tmp_path))
    monkeypatch.setattr(Path, "is_dir", is_dir)
    monkeypatch.delenv("FOLIOLAB_PLUGINS", raising=False)
    found = load()
    assert "mm-id" in found.policies
    (failure,) = [one for one in found.failures if one.name == "plugins"]
    assert "the plugin folder cannot be read" in failure.message


def test_a_users_folder_that_others_can_write_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FOLIOLAB_PLUGINS")
    folder = tmp_path / "config" / "plugins"
    folder.mkdir(parents=True)
    mine, open_ = plugins.write_good(folder, "mine"), plugins.write_good(folder, "open")
    open_.chmod(0o666)
    found = load()
    assert "mine" in found.policies and "open" not in found.policies
    (failure,) = [one for one in found.failures if one.name == "open"]
    says = "it is not loaded: others can write to {}; correct that, or name the file with --plugin"
    assert (failure.phase, failure.message) == ("find", says.format(open_))
    folder.parent.chmod(0o777)
    monkeypatch.setattr(registry_module, "_loaded", {})
    messages = [one.message for one in load().failures if one.name in ("mine", "open")]
    assert messages == [says.format(folder.parent)] * 2
    assert "mine" in load([mine]).policies, "the user has named it"


def test_the_users_folder_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FOLIOLAB_PLUGINS")
    folder = tmp_path / "config" / "plugins"
    folder.mkdir(parents=True)
    plugins.write_good(folder, "mine")
    plugins.write_good(folder, "yours")
    assert load().policies.keys() >= {"mine", "yours"}
    monkeypatch.setenv("FOLIOLAB_PLUGINS", "yours")
    assert "yours" in load().policies and "mine" not in load().policies
    monkeypatch.setenv("FOLIOLAB_PLUGINS", "off")
    assert not load().policies.keys() & {"mine", "yours"}
    assert "mine" in load([folder / "mine.py"]).policies


def test_a_selected_plugin_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOLAB_PLUGINS", "yours")
    (failure,) = load().failures
    assert (failure.name, failure.phase) == ("yours", "find")


class Point:
    """An installed third party's entry point."""

    def __init__(self, name: str, module: str) -> None:
        self.name, self.module, self.dist = name, module, self
        self.version = "3.2"

    def load(self) -> object:
        return importlib.import_module(self.module)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Pretends that modules of `tmp_path` are installed as plugins."""

    def install(*names: str) -> None:
        points: Sequence[Any] = [Point(name, name) for name in names]
        real = list(importlib.metadata.entry_points(group="foliolab"))
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*points, *real])
        monkeypatch.setenv("FOLIOLAB_PLUGINS", ",".join(names))

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    for name in ("flab_one", "flab_two", "flab_bad"):
        sys.modules.pop(name, None)


def test_a_third_partys_distribution(installed: Any, tmp_path: Path) -> None:
    (tmp_path / "flab_one.py").write_text(plugins.GOOD.replace("NAME", "one"))
    installed("flab_one")
    found = load()
    assert found.failures == []
    assert found.plugins[-1].source == "flab_one 3.2"
    assert found.origin("one") == ("entry", "flab_one")


def test_a_broken_distribution_is_named_with_file_and_line(installed: Any, tmp_path: Path) -> None:
    (tmp_path / "flab_bad").mkdir()
    (tmp_path / "flab_bad" / "__init__.py").write_text("from flab_bad import deep\n")
    (tmp_path / "flab_bad" / "deep.py").write_text("\nundefined\n")
    (tmp_path / "flab_one.py").write_text(plugins.GOOD.replace("NAME", "one"))
    installed("flab_bad", "flab_one")
    found = load()
    (failure,) = found.failures
    assert failure.source == "flab_bad 3.2"
    assert f"{tmp_path}/flab_bad/deep.py:2: NameError" in failure.message
    assert "Traceback" in failure.traceback
    assert "one" in found.policies


def test_a_clash_names_both_sides_and_takes_nothing_of_the_second(installed: Any, tmp_path: Path) -> None:
    two = "\nfrom dataclasses import replace\nPOLICY = [replace(POLICY, name='fresh'), POLICY]\n"
    (tmp_path / "flab_one.py").write_text(plugins.GOOD.replace("NAME", "same"))
    (tmp_path / "flab_two.py").write_text(plugins.GOOD.replace("NAME", "same") + two)
    installed("flab_one", "flab_two")
    found = load()
    (failure,) = found.failures
    assert failure.phase == "clash"
    assert "flab_two 3.2" in failure.message and "flab_one 3.2" in failure.message
    assert f"{tmp_path}/flab_two.py:12" in failure.message
    assert "same" in found.policies and "fresh" not in found.policies
    with pytest.raises(PluginError, match=r"fresh.*flab_two"):
        found.policy("fresh")


# -- broken plugins ------------------------------------------------------------------------------
@pytest.mark.parametrize("how", plugins.BROKEN)
def test_a_broken_plugin_stops_nothing(how: str, tmp_path: Path) -> None:
    path = plugins.write(tmp_path, how)
    _, phase, says = plugins.BROKEN[how]
    failure = failure_of(path)
    assert (failure.name, failure.source, failure.phase) == (how, str(path), phase)
    assert says.replace("FILE", str(path)) in failure.message
    assert "\n" not in failure.message
    assert str(path) in failure.message


def test_a_plugin_that_is_no_file(tmp_path: Path) -> None:
    assert failure_of(tmp_path / "gone.py").message == "there is no such file"
    assert "not a Python file" in failure_of(tmp_path).message
    (tmp_path / "notes.txt").write_text("")
    assert failure_of(tmp_path / "notes.txt").phase == "find"


@pytest.mark.parametrize(
    "loop",
    [
        "while True:\n    pass\n",
        "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except Exception: pass\n",
    ],
)
def test_a_plugin_that_loops_fails_alone(loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "SECONDS", 0.5)
    path = tmp_path / "loop.py"
    path.write_text(loop)
    failure = failure_of(path)
    assert failure.message.startswith(f"{path}:")
    assert "did not end within 0.5 s" in failure.message


def test_a_plugin_that_loops_and_takes_no_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "SECONDS", 0.2)
    monkeypatch.setattr(dry_run, "MORE_SECONDS", 0.2)
    path = tmp_path / "deaf.py"
    path.write_text("import signal\nfor one in (14, 15): signal.signal(one, signal.SIG_IGN)\nwhile True: pass\n")
    assert failure_of(path).message == f"{path}: did not end within 0.2 s, and took no signal"


def test_what_loads_well_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    path = plugins.write_good(tmp_path)
    text = f"open({str(tmp_path / 'loads')!r}, 'a').write('x')\n" + path.read_text()
    path.write_text(text)
    for loads in (2, 3):  # the dry run and the load; then a process that knows it
        monkeypatch.setattr(registry_module, "_loaded", {})
        assert load([path]).failures == []
        assert (tmp_path / "loads").read_text() == "x" * loads
    path.write_text(text + "# changed\n")
    assert load([path]).failures == []
    assert (tmp_path / "loads").read_text() == "x" * 5


def test_a_file_alone_is_loaded(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    (tmp_path / "neighbour.py").write_text("raise SystemExit('loaded')\n")
    assert load([path]).failures == []
    path.write_text("import neighbour\n" + path.read_text())
    assert "ModuleNotFoundError" in failure_of(path).message


def test_somebody_elses_timer_goes_on() -> None:
    before = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        load()
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 90 < left < 100
        assert signal.getsignal(signal.SIGALRM) is before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_loading_works_off_the_main_thread() -> None:
    found: list[Registry] = []
    thread = threading.Thread(target=lambda: found.append(load()))
    thread.start()
    thread.join()
    assert found[0].failures == []


def test_a_failed_module_leaves_nothing_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    failure_of(plugins.write(tmp_path, "raises"))
    assert not {name for name in set(sys.modules) - before if "raises" in name}


def test_strict_turns_a_failure_into_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plugins.write(tmp_path, "raises")
    with pytest.raises(PluginError, match=r"plugin raises .*raises\.py:3: ZeroDivisionError"):
        load([path], strict=True)
    monkeypatch.setenv("FOLIOLAB_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError):
        load([path])


def test_a_policy_of_a_failed_plugin_is_a_plugin_error(tmp_path: Path) -> None:
    found = load([plugins.write(tmp_path, "overlap"), plugins.write(tmp_path, "raises")])
    with pytest.raises(PluginError, match="plugin overlap failed"):
        found.policy("overlap")
    with pytest.raises(PluginError, match="plugin raises failed"):
        found.policy("raises")
    with pytest.raises(UsageError) as fault:
        found.policy("zzz")
    assert "raises" in fault.value.hint


# -- policies of files ---------------------------------------------------------------------------
def test_a_policy_of_a_file_by_name(tmp_path: Path) -> None:
    text = plugins.GOOD.replace("NAME", "first") + "from dataclasses import replace\n"
    text += "POLICIES = [POLICY, replace(POLICY, name='second')]\n" + plugins.HOOK
    text += "@hookimpl\ndef foliolab_policies(): return POLICIES\n"
    path = tmp_path / "two.py"
    path.write_text(text)
    registry = load()
    assert [scheme.name for scheme in registry.parse_policies([f"mm-id,{path}::second"])] == ["mm-id", "second"]
    assert registry.files() == [str(path)]
    with pytest.raises(UsageError, match="offers no policy 'thrd'"):
        registry.policy(f"{path}::thrd")
    with pytest.raises(UsageError, match=r"there is no plugin file .*three\.py"):
        registry.policy(f"{tmp_path / 'three.py'}::second")
    for wrong in (f"{path}::", "two::second"):
        with pytest.raises(UsageError, match="is not a policy of a file"):
            registry.policy(wrong)


def test_a_policy_of_a_file_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    registry = load()
    for _ in range(2):
        with pytest.raises(PluginError, match=r"broken failed: .*broken\.py:1: ZeroDivisionError"):
            registry.policy(f"{path}::mine", typed=True)
    assert len(registry.failures) == 1


# -- loading once --------------------------------------------------------------------------------
def test_a_plugin_is_loaded_once_a_process(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    assert load([path]).policies["good"] is load([path]).policies["good"]
    path.write_text(path.read_text().replace("nothing", "a thing"))
    assert load([path]).policies["good"].summary == "stores a word and knows a thing"


def test_a_plugin_that_failed_is_loaded_again(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    path.write_text("from pathlib import Path\nPath(__file__).with_name('there').read_text()\n" + path.read_text())
    assert load([path]).failures
    (tmp_path / "there").write_text("")
    assert not load([path]).failures


def test_a_kind_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that only this test declares: its hook, its constant, its names and its clashes work."""

    class Spy:
        name = "a-spy"

    kind: Kind[Spy] = Kind("spy", "foliolab_spies", (str,), lambda value: [Spy()], "Spies.", "SPY", "spies")
    kind.__set_name__(Registry, "spies")
    monkeypatch.setattr(registry_module, "KINDS", (*registry_module.KINDS, kind))
    monkeypatch.setattr(registry_module, "_loaded", {})
    hook, constant = tmp_path / "hook.py", tmp_path / "constant.py"
    hook.write_text(plugins.HOOK + "@hookimpl\ndef foliolab_spies(): return ['x']\n")
    constant.write_text("SPY = 'x'\n")
    found = load([hook])
    assert found.failures == [] and list(found.offers["spies"]) == ["a-spy"]
    assert found.find(kind, "a-spy").name == "a-spy" and found.plugins[-1].offers["spies"] == ("a-spy",)
    (clash,) = load([hook, constant]).failures
    assert clash.message.endswith(f"is already given by {hook} (hook); rename one of them")
    with pytest.raises(UsageError, match="there is no spy 'b-spy'"):
        found.find(kind, "b-spy")


def test_a_file_in_a_policys_text_is_loaded_only_if_the_user_typed_it(tmp_path: Path) -> None:
    path = plugins.write_good(tmp_path)
    found = load()
    with pytest.raises(UsageError) as fault:
        found.policy(f"{path}::good")
    assert (fault.value.what, fault.value.hint) == (
        f"the plugin {path} is not loaded", f"if you trust it: --plugin {path}",
    )  # fmt: skip
    assert [one.name for one in found.parse_policies([f"{path}::good"])] == ["good"]
    assert found.policy(f"{path}::good").name == "good"


@pytest.mark.parametrize("built_in", [True, False])
def test_only_the_code_of_others_has_a_limit_of_time(built_in: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated processor takes longer than that to import FolioLab's own policies."""
    monkeypatch.setattr(discovery, "SECONDS", 0.01)
    source = discovery.Source("entry", "own", "own 1", "1", object, (), built_in)
    failure = discovery.Attempt(source).run(lambda attempt: time.sleep(0.1))
    assert (failure is None) == built_in


@pytest.mark.parametrize(
    ("keyword", "says"),
    [
        ("module=__name__", "it is gone since version 2 of the policy contract: leave it out"),
        ("max_mapings=9", "did you mean max_mappings"),
        ("xyzzy=9", "it takes name, summary, references"),
    ],
)
def test_a_keyword_that_a_policy_does_not_take_is_refused_with_what_to_write(
    keyword: str, says: str, tmp_path: Path
) -> None:
    plugin = tmp_path / "old.py"
    plugin.write_text(
        "from dataclasses import replace\nfrom foliolab.policies import mm_id\n"
        f"POLICY = replace(mm_id.POLICY, name='mine', {keyword})\n"
    )
    message = failure_of(plugin).message
    assert message.startswith(f"{plugin}:3: TypeError: Policy.__init__() got an unexpected keyword argument ")
    assert says in message
