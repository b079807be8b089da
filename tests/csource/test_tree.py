"""A kernel tree as a policy, on a tree of our own text: what is extracted, assumed, configured, patched and refuted."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import kernel, translation
from foliolab.framework.csource.slicing import SourceFile, extract
from foliolab.framework.csource.tree import LARGEST, Tree
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.errors import CSourceError, PluginError, UsageError
from foliolab.framework.machine.source import exact_definition
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import Finding

SOURCE = Path(__file__).with_name("tree")


def scheme_of(text: str) -> Scheme:
    return load().policy(text, typed=True)


def copied(folder: Path) -> Path:
    """The tree in a folder of its own."""
    return shutil.copytree(SOURCE, folder / "linux")


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    """The tree with one line changed."""
    tree = copied(folder)
    text = (tree / file).read_text()
    assert text.count(old) == 1
    (tree / file).write_text(text.replace(old, new))
    return tree


def findings(scheme: Scheme, attack: str, budget: Budget) -> list[Finding]:
    (chosen,) = attacks.chosen([attack])
    return chosen.run(scheme, budget, lambda news: None)


def laws_broken(scheme: Scheme, law: str) -> dict[str, str]:
    """The message of each law that random operations break, at most until the wanted one is broken."""
    stop = threading.Event()
    budget = Budget(240.0, 128 << 20, stop=stop)
    found: list[Counterexample] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding) and news.counterexample is not None:
            found.append(news.counterexample)
            if law in ("", news.counterexample.law):
                stop.set()

    (chosen,) = attacks.chosen(["random"])
    found += [one.counterexample for one in chosen.run(scheme, budget, tell) if one.counterexample is not None]
    return {one.law: one.message for one in found}


# -- extracts ----------------------------------------------------------------------------------------
def test_lines_of_an_extract_keep_their_numbers() -> None:
    text = (SOURCE / "include/linux/mm.h").read_text()
    taken = extract({"mm.h": text}, ["folio_mapcount", "absent"], frozenset({"atomic_read"}))
    lines, before = taken.texts["mm.h"].split("\n"), text.split("\n")
    assert taken.missing == {"absent"} and len(lines) == len(before)
    assert all(line in ("", old) for line, old in zip(lines, before, strict=True))
    assert "folio_large_mapcount" in taken.texts["mm.h"] and "unrelated" not in taken.texts["mm.h"]
    assert "#ifdef CONFIG_MM_ID" in lines


def test_definitions_are_found_behind_comments_strings_and_conditionals() -> None:
    text = 'int a(void)\n{\n\treturn "}"[0]; /* } */\n}\n#define B(x) \\\n\t((x) + C)\nstruct d {\n\tint e; // }\n};\n'
    found = {one.name: (one.first, one.last) for one in SourceFile(text).definitions}
    assert found == {"a": (0, 3), "B": (4, 5), "d": (6, 8)}


# -- the policy --------------------------------------------------------------------------------------
def test_the_policy_is_that_of_the_tree() -> None:
    scheme = scheme_of(f"tree:{SOURCE}:MM_ID=n")
    assert scheme.name == "tree-no-mm-id" and scheme.policy.layout == "6.15"
    assert scheme.capabilities == {"safe", "page-mapcount", "partial-mapping", "pmd"}
    fields = {one.name: (one.ctype, one.page, one.offset, one.init) for one in scheme.fields if one.per == "folio"}
    assert fields == {
        "_large_mapcount": ("i32", 1, 16, -1),
        "_nr_pages_mapped": ("i32", 1, 20, 0),
        "_entire_mapcount": ("i32", 1, 24, -1),
    }
    remove = scheme.policy.hooks.remove_ptes.__code__
    assert remove.co_filename == str(SOURCE / "mm/rmap.c")
    assert "__folio_remove_rmap(" in (SOURCE / "mm/rmap.c").read_text().splitlines()[remove.co_firstlineno - 1]


@pytest.mark.parametrize("attack", ["random", "symbolic", "structural"])
def test_the_tree_holds(attack: str, computing_time: type[Budget]) -> None:
    seconds = 40.0 if attack == "symbolic" else 1.0  # the solver ends before
    found = findings(scheme_of(f"tree:{SOURCE}:MM_ID=n"), attack, computing_time(seconds, 128 << 20))
    assert found and {one.verdict for one in found} == {"held"}


def test_interleavings_of_the_tree_are_explored(computing_time: type[Budget]) -> None:
    """The statistics of this simple tree lose a race between two PMDs; its answer is right in every interleaving."""
    found = findings(scheme_of(f"tree:{SOURCE}:MM_ID=n"), "explored", computing_time(1.5, 128 << 20))
    assert [one.verdict for one in found if one.claim == "safe"] == ["held"]


def test_a_configuration_has_its_fields_and_claims() -> None:
    scheme = scheme_of(f"tree:{SOURCE}:MM_ID=y,NO_PAGE_MAPCOUNT=y")
    assert {"_owner", "_owner_flags"} <= {one.name for one in scheme.fields}
    assert scheme.capabilities == {"safe", "exact-for-two", "reuse", "pmd", "average-mapcount"}
    assert scheme.name == "tree-mm-id-no-page-mapcount"


def test_what_is_assumed_and_left_out_is_shown() -> None:
    text = translation.text_of_tree(Tree.parse(f"tree:{SOURCE}:MM_ID=n"))
    head = text.partition('"""')[0]
    assert "folio_test_hugetlb is False" in head and "folio_needs_cow_for_dma is False" in head
    assert re.search(r"rmap\.c:\d+: mlock_vma_folio does nothing that a policy has to do", head)
    assert re.search(r"rmap\.c:\d+: the check is left out: .*anon_vma", head)  # there is no anon_vma in the model
    assert "CONFIG_PAGE_MAPCOUNT" in head


def test_a_side_that_the_model_cannot_reach_is_gone() -> None:
    text = translation.text_of_tree(Tree.parse(f"tree:{SOURCE}:MM_ID=n"))
    (body,) = re.findall(r"^def folio_mapcount\(.*\n((?:    .*\n)+)", text, re.MULTILINE)
    assert [line.partition("#")[0].strip() for line in body.splitlines()] == ["return folio_large_mapcount(folio)"]


PMD = "folio_account(folio, 1, vma)"


# -- mutations -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "old", "new", "law"),
    [
        ("mm/internal.h", "(&folio->_entire_mapcount, -1)", "(&folio->_entire_mapcount, 0)", ""),
        ("mm/rmap.c", "nr = nr_pmdmapped - last;", "nr = nr_pmdmapped;", "statistics"),
        pytest.param(
            "include/linux/rmap.h", f"\t\t{PMD};\n\t\tbreak;\n\tdefault", "\t\tbreak;\n\n\tdefault", "mapcount",
            marks=pytest.mark.slow,
        ),
        ("include/linux/mm.h", "\tif (mapcount <= 1)", "\tif (mapcount <= 2)", "safe"),
    ],
    ids=["initial value", "count", "account", "answer"],
)  # fmt: skip
def test_a_mutation_is_refuted(file: str, old: str, new: str, law: str, tmp_path: Path) -> None:
    found = laws_broken(scheme_of(f"tree:{changed(tmp_path, file, old, new)}:MM_ID=n"), law)
    assert found and (not law or law in found)


def test_a_check_that_is_turned_round_is_refuted_at_its_line(tmp_path: Path) -> None:
    tree = changed(tmp_path, "include/linux/rmap.h", "ON_ONCE(mapcount < -1);", "ON_ONCE(mapcount >= -1);")
    lines = (tree / "include/linux/rmap.h").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "mapcount >= -1" in text)
    found = laws_broken(scheme_of(f"tree:{tree}:MM_ID=y"), "checks")
    assert f"{tree}/include/linux/rmap.h:{line} fires: VM_WARN_ON_ONCE(mapcount >= -1);" in found["checks"]


# -- names, options, patches ---------------------------------------------------------------------------
def test_options_come_from_the_config_or_by_name(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    with pytest.raises(PluginError, match=r"no \.config, and no option says how") as fault:
        scheme_of(f"tree:{tree}")
    assert "MM_ID=y,NO_PAGE_MAPCOUNT=y" in str(fault.value)
    (tree / ".config").write_text("CONFIG_MM_ID=y\n# CONFIG_NO_PAGE_MAPCOUNT is not set\nCONFIG_PAGE_MAPCOUNT=y\n")
    assert "exact-for-two" in scheme_of(f"tree:{tree}").capabilities
    (tree / ".config").write_text("CONFIG_MM_ID=y\nCONFIG_NO_PAGE_MAPCOUNT=y\n")
    assert "average-mapcount" in scheme_of(f"tree:{tree}").capabilities


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tree:/nowhere/at/all", "there is no folder"),
        ("tree:", "tree: names no folder"),
        (f"tree:{SOURCE}:SMP=y", "SMP=y is no option"),
        (f"tree:{SOURCE}:MM_ID=maybe", "MM_ID=maybe is no option"),
        (f"tree:{SOURCE}:", "there is no option behind the colon"),
        (f"tree:{SOURCE}: ", "there is no option behind the colon"),
        (f"tree:{SOURCE}:MM_ID", "MM_ID is no option"),
        (f"tree:{SOURCE}:MM_ID=y,", "an option is missing"),
        (f"tree:{SOURCE}:MM_ID=y,MM_ID=n", "an option is there twice"),
        (f"tree:{SOURCE}:MM_ID=n,NO_PAGE_MAPCOUNT=y", "no kernel can be configured so"),
        (f"tree:{SOURCE}:PAGE_MAPCOUNT=y,NO_PAGE_MAPCOUNT=y", "no kernel can be configured so"),
        (f"tree:{SOURCE.parent}:MM_ID=y", "has no include/linux/mm_types.h"),
    ],
)
def test_a_tree_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises((UsageError, PluginError), match=re.escape(says)):
        scheme_of(text)


def older(folder: Path) -> Path:
    """The tree without what Linux 6.15 brought, as far as that is looked at."""
    tree = copied(folder)
    types = tree / "include/linux/mm_types.h"
    types.write_text(types.read_text().replace("CONFIG_MM_ID", "CONFIG_OTHER"))
    return tree


def test_a_tree_that_has_no_options_takes_none(tmp_path: Path) -> None:
    tree = older(tmp_path)
    Tree.parse(f"tree:{tree}")
    with pytest.raises(UsageError, match="this tree has no CONFIG_MM_ID") as fault:
        Tree.parse(f"tree:{tree}:MM_ID=y")
    assert fault.value.hint == "leave the options out"
    patched = Tree.parse(f"tree:{tree}:MM_ID=y,patch=none.diff")  # the patch may bring them
    types = (tree / "include/linux/mm_types.h").read_text()
    with pytest.raises(CSourceError, match="this tree has no CONFIG_MM_ID"):
        patched.configuration({kernel.TYPES: types})
    assert patched.configuration({kernel.TYPES: f"{types} CONFIG_MM_ID"}).mm_id


def test_colons_in_paths_and_patches_are_no_options(tmp_path: Path) -> None:
    tree = copied(tmp_path / "of:linux")
    assert Tree.parse(f"tree:{tree}").options == ()
    assert Tree.parse(f"tree:{tree}:MM_ID=y,patch=/of:me.diff").options == (("MM_ID", "y"), ("patch", "/of:me.diff"))


def test_another_struct_folio_is_refused(tmp_path: Path) -> None:
    tree = changed(
        tmp_path,
        "include/linux/mm_types.h",
        "\t\t\tatomic_t _pincount;\n",
        "\t\t\tint _new[2];\n\t\t\tatomic_t _pincount;\n",
    )
    with pytest.raises(CSourceError, match="struct folio is none that FolioLab models"):
        Tree.parse(f"tree:{tree}:MM_ID=n").translated()


def test_a_tree_without_a_function_is_refused_in_one_sentence(tmp_path: Path) -> None:
    tree = changed(tmp_path, "mm/rmap.c", "void __folio_remove_rmap(", "void __folio_remove_rmap_old(")
    with pytest.raises(CSourceError, match="the tree has no __folio_remove_rmap") as fault:
        Tree.parse(f"tree:{tree}:MM_ID=n").translated()
    assert "Linux 6.8 or later" in fault.value.hint


@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_revisions_and_patches(tmp_path: Path, computing_time: type[Budget]) -> None:
    tree = copied(tmp_path)
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    file = tree / "include/linux/mm.h"
    file.write_text(file.read_text().replace("\tif (mapcount <= 1)", "\tif (mapcount <= 2)"))
    patch = tmp_path / "wrong.patch"
    patch.write_bytes(subprocess.run([*git, "diff"], check=True, capture_output=True).stdout)
    wrong, right = scheme_of(f"tree:{tree}:MM_ID=n"), scheme_of(f"tree:{tree}@v1:MM_ID=n")
    assert right.name == "linux-v1-no-mm-id"
    assert "safe" in laws_broken(wrong, "safe")
    assert {one.verdict for one in findings(right, "random", computing_time(1.0)) if one.claim == "safe"} == {"held"}
    shown = right.policy.hooks.maybe_mapped_shared.__code__.co_filename
    assert "mapcount <= 1" in Path(shown).read_text()  # a copy in the cache, whose lines can be shown
    patched = Tree.parse(f"tree:{tree}@v1:MM_ID=n,patch={patch}")
    assert patched.name == "linux-v1-no-mm-id-wrong"
    assert "mapcount <= 2" in patched.files()["include/linux/mm.h"]
    with pytest.raises(CSourceError, match="does not apply"):
        Tree.parse(f"tree:{tree}:MM_ID=n,patch={patch}").files()
    with pytest.raises(CSourceError, match="git cannot show v9"):
        Tree.parse(f"tree:{tree}@v9:MM_ID=n").files()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The tree as a git repository with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    tree = copied(tmp_path)
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    return tree


def files_of(text: str) -> dict[str, str]:
    return Tree.parse(text).files()


def test_a_revision_runs_nothing_that_the_tree_configures(repository: Path, tmp_path: Path) -> None:
    """In a partial clone git would fetch a missing object, by the command that the tree's configuration names."""
    git, mark = ["git", "-C", str(repository)], tmp_path / "run"
    asked = subprocess.run([*git, "rev-parse", "HEAD:mm/rmap.c"], check=True, capture_output=True, text=True)
    number = asked.stdout.strip()
    (repository / ".git/objects" / number[:2] / number[2:]).unlink()
    for name, value in {
        "core.repositoryformatversion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::touch {mark}", "protocol.ext.allow": "always",
    }.items():  # fmt: skip
        subprocess.run([*git, "config", name, value], check=True)
    assert "mm/rmap.c" not in files_of(f"tree:{repository}@HEAD:MM_ID=y") and not mark.exists()
    subprocess.run([*git, "show", "HEAD:mm/rmap.c"], check=False, capture_output=True)
    assert mark.exists()  # which git does where nobody forbids it


def test_a_revision_is_no_option_of_git(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "out:include/linux").mkdir(parents=True)
    with pytest.raises(CSourceError, match="there is no such revision"):
        files_of(f"tree:{repository}@--output={tmp_path}/out:MM_ID=y")
    assert not list((tmp_path / "out:include/linux").iterdir())


def test_a_revision_is_that_of_the_folder_also_in_a_hook_of_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    expected = {name for name in kernel.FILES if (SOURCE / name).is_file()}
    assert files_of(f"tree:{repository}@HEAD:MM_ID=y").keys() == expected


def test_files_of_any_size_are_refused(repository: Path) -> None:
    file = repository / "mm/memory.c"
    file.write_bytes(b"/" * (LARGEST + 1))
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "commit", "-qam", "large"], check=True)
    for text in (f"tree:{repository}:MM_ID=y", f"tree:{repository}@HEAD:MM_ID=y"):
        with pytest.raises(CSourceError, match=r"mm/memory\.c is larger than 4 MiB"):
            files_of(text)


NEW = "diff --git a/include/linux/pgtable.h b/include/linux/pgtable.h\nnew file mode {mode}\n"
BINARY = f"{NEW.format(mode=100644)}index {'0' * 40}..{'1' * 40}\nGIT binary patch\nliteral 9\nzcmZQz00000\n\n"
LINK = "--- /dev/null\n+++ b/include/linux/pgtable.h\n@@ -0,0 +1 @@\n+/etc/hostname\n\\ No newline at end of file\n"
OUTSIDE = "diff --git a/mm/rmap.c b/../out.c\nrename from mm/rmap.c\nrename to ../out.c\n"


@pytest.mark.parametrize(
    ("diff", "says"),
    [
        (NEW.format(mode=120000) + LINK, "has a binary file or a symbolic link"),
        (BINARY, "has a binary file or a symbolic link"),
        (OUTSIDE, "changes no file that is read"),
        ("x" * (LARGEST + 1), "is larger than 4 MiB"),
    ],
    ids=["link", "binary", "outside", "large"],
)
@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_a_patch_that_is_no_change_of_text_is_refused(diff: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.patch").write_text(diff)
    with pytest.raises(CSourceError, match=re.escape(says)):
        files_of(f"tree:{SOURCE}:MM_ID=n,patch={tmp_path}/bad.patch")
    assert not (tmp_path.parent / "out.c").exists()


def test_several_trees_stand_side_by_side(tmp_path: Path) -> None:
    found = load().parse_policies([f"mm-id,tree:{SOURCE}:MM_ID=y,NO_PAGE_MAPCOUNT=y,tree:{SOURCE}:MM_ID=n"])
    assert [one.name for one in found] == ["mm-id", "tree-mm-id-no-page-mapcount", "tree-no-mm-id"]


def test_two_configurations_in_one_process_have_texts_of_their_own() -> None:
    """Their functions have the same file, name and line; each is judged by its own definition."""
    first, second = (scheme_of(f"tree:{SOURCE}:MM_ID={value}") for value in ("y", "n"))
    for scheme in (first, second, first):
        machine = Machine(scheme, Shape(64, 2, 16, max_order=4), "interpreted")
        machine.create(0)
        machine.populate(0, 0, 16, 4)
        machine.fork(0, 1)
        assert machine.column("folio", "_large_mapcount")[machine.frame(0, 0)] == 31
    names = [
        {node.id for node in ast.walk(found) if isinstance(node, ast.Name)} for found in map(_account, (first, second))
    ]
    assert "bit_spin_lock" in names[0] and "bit_spin_lock" not in names[1]


def _account(scheme: Scheme) -> ast.FunctionDef:
    (function,) = (one for one in policy_tree(scheme).needs if one.__name__ == "folio_account")
    found = exact_definition(function)
    assert found is not None
    return found


def test_a_changed_tree_is_translated_anew(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    first = translation.text_of_tree(Tree.parse(f"tree:{tree}:MM_ID=n"))
    assert translation.text_of_tree(Tree.parse(f"tree:{tree}:MM_ID=n")) == first
    file = tree / "include/linux/mm.h"
    file.write_text(file.read_text().replace("\tif (mapcount <= 1)", "\tif (mapcount < 2)"))
    assert translation.text_of_tree(Tree.parse(f"tree:{tree}:MM_ID=n")) != first
    assert set(kernel.FILES) >= set(Tree.parse(f"tree:{tree}").files())
