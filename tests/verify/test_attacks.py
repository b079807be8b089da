"""The attacks by their names."""

from __future__ import annotations

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.framework.verify.verifier import verify
from foliolab.policies import mm_id


def test_all_of_them_without_a_name() -> None:
    assert [attack.name for attack in attacks.chosen()] == list(attacks.ATTACKS)
    assert [attack.name for attack in attacks.chosen(["random"])] == ["random"]


@pytest.mark.parametrize(
    ("names", "model", "said"),
    [(["rand"], "sc", "did you mean random"), (["random"] * 2, "sc", "twice"), (["random"], "armv8", "add explored")],
)
def test_what_is_refused(names: list[str], model: MemoryModel, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        attacks.chosen(names, model)
    assert said in str(refused.value)


def test_one_that_cannot_be_imported_leaves_its_claims_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(attacks.ATTACKS, "symbolic", ("no.such.module", "Symbolic"))
    (missing,) = attacks.chosen(["symbolic"])
    found = verify(mm_id.POLICY.with_parameters(), [missing], Budget(5), jobs=0)
    assert {one.verdict for one in found.findings} == {"undecided"}
    assert "No module named 'no'" in found.findings[0].bound
