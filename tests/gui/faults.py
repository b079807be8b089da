"""The faults that newcomers met in the window, as issue 21 names them, and the test that shows that each is gone.

    python tests/gui/faults.py              # runs the tests, file by file, and prints which faults are gone
    python tests/gui/faults.py --list       # only the list

Other arguments go to pytest.

The list of the trial itself was not kept: this one is made from the sentences of the issue.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FAULTS: Final = (
    ("a first start shows “not measured”",
     "tests/gui/compare/test_workspace.py::test_the_first_start_has_an_answer_in_every_cell"),
    ("nothing says in words who is unsafe and who costs what",
     "tests/gui/compare/test_workspace.py::test_the_first_words_and_the_scatter_are_made_from_the_data"),
    ("only one row can be the baseline",
     "tests/gui/compare/test_workspace.py::test_any_row_can_be_the_baseline_of_the_reference"),
    ("“right” is green where safe is not claimed",
     "tests/gui/compare/test_answers.py::test_only_who_claims_to_be_safe_is_called_right_without_reserve"),
    ("measuring does not say how long it takes",
     "tests/gui/compare/test_workspace.py::test_the_rest_of_the_time_is_told_in_round_figures"),
    ("the command line does not say what the home screen says",
     "tests/review/test_review.py::test_five_answers_beside_the_baseline"),
    ("an example ends without any line of the policy",
     "tests/gui/inspector/test_inspector.py::test_the_answer_is_given_line_by_line_and_leads_back"),
    ("the policy's own write is not the line that is shown",
     "tests/gui/inspector/test_inspector.py::test_the_write_of_the_policy_is_the_line_that_is_shown"),
    ("a field does not lead to its last writer",
     "tests/gui/explore/test_explore.py::test_a_field_leads_to_where_it_was_last_written"),
    ("one access back goes elsewhere",
     "tests/gui/explore/test_explore.py::test_single_accesses_with_their_lines"),
    ("next wrong does not select what is wrong",
     "tests/gui/explore/test_explore.py::test_next_wrong_inspects_the_page_and_the_policy_that_are_wrong"),
    ("a file that never ends or crashes takes the window with it",
     "tests/gui/test_library.py::test_a_file_that_hangs_or_crashes_is_a_failure_meanwhile_the_window_goes_on"),
    ("a file that crashed the window crashes every later start",
     "tests/gui/test_window.py::test_after_an_unclean_end_each_policy_file_is_offered_by_itself"),
    ("“No answer” stands where no step hangs",
     "tests/gui/explore/test_explore.py::test_an_answer_that_never_comes_is_not_waited_for"),
    ("precision over the run loses the lows and highs of steps",
     "tests/explore/test_history.py::test_the_maximum_is_kept"),
    ("wrong and disagreeing steps have one mark",
     "tests/explore/test_history.py::test_marks_stand_for_all"),
    ("a policy has several statuses",
     "tests/gui/policies/test_workspace.py::test_the_one_status_is_the_worst_of_all"),
    ("a failed check does not reach the home screen",
     "tests/gui/policies/test_workspace.py::test_a_failed_check_is_also_what_the_home_screen_says"),
    ("what could not be written is called written",
     "tests/gui/test_exporting.py::test_a_place_that_cannot_be_written_is_said"),
    ("notices stay although their cause is gone, and leave no trace",
     "tests/gui/test_window.py::test_a_notice_resolves_itself_and_stays_in_the_history"),
    ("drift of the machine is taken for a difference",
     "tests/cli/test_lost.py::test_a_machine_that_drifted_is_named"),
    ("a copied command does not repeat what is on screen",
     "tests/gui/explore/test_explore.py::test_the_command_that_repeats_it"),
    ("lists cannot be searched",
     "tests/gui/test_palette.py::test_lists_have_search_fields"),
    ("the palette does not know policies, workloads, scenarios",
     "tests/gui/test_palette.py::test_every_policy_workload_pattern_and_scenario_is_in_it"),
    ("the palette does not know steps",
     "tests/gui/test_palette.py::test_steps_are_found_by_their_number_and_by_their_words"),
    ("there are no context menus",
     "tests/gui/test_context_menus.py::test_every_menu_has_commands_of_its_workspace"),
    ("choosers have no context menus",
     "tests/gui/test_context_menus.py::test_the_policy_of_a_row_is_shown_elsewhere"),
    ("a range cannot be chosen on charts, timeline and tables",
     "tests/gui/explore/test_shown_part.py::test_the_timeline_the_curves_and_the_table_choose_it"),
    ("the scatter has no range, or the matrix does not follow it",
     "tests/gui/compare/test_workspace.py::test_the_matrix_lists_the_policies_of_the_shown_part_of_the_scatter"),
    ("the curves of attacks have no range",
     "tests/gui/test_ranges.py::test_the_curves_of_all_attacks_show_one_part_of_their_time"),
    ("a sequence diagram has no range",
     "tests/gui/inspector/test_sequence.py::test_a_drag_over_lines_shows_their_steps_alone"),
    ("views do not follow a range that is chosen on one of them",
     "tests/gui/explore/test_shown_part.py::test_all_views_follow_one_part"),
    ("traces have no time",
     "tests/gui/test_ranges.py::test_times_of_a_trace"),
    ("what was found cannot be opened on another machine",
     "tests/gui/test_sessions.py::test_it_opens_the_same_on_another_machine"),
    ("measurements and counterexamples are lost",
     "tests/gui/test_recent.py::test_the_list_opens_what_it_shows"),
    ("columns forget their width",
     "tests/gui/test_columns.py::test_a_width_that_the_user_sets_is_found_again"),
    ("columns are not sorted, or forget it",
     "tests/gui/test_columns.py::test_an_order_is_kept_and_given_up_by_the_third_click"),
    ("lists of policies, accesses and notices are not sorted",
     "tests/gui/test_columns.py::test_a_tree_is_sorted_within_its_groups_and_keeps_it"),
    ("claims and the matrix are not sorted",
     "tests/gui/test_columns.py::test_claims_and_the_matrix_are_sorted"),
    ("Explore starts with nothing to show",
     "tests/gui/explore/test_explore.py::test_the_empty_state_leads_to_an_example"),
    ("a trace does not open",
     "tests/gui/explore/test_trace_answer.py::test_a_trace_has_the_panel_and_a_pattern_has_none"),
    ("a file cannot be dropped",
     "tests/gui/test_window.py::test_a_file_can_be_dropped"),
    ("nothing can be printed",
     "tests/gui/test_help.py::test_a_view_is_printed"),
    ("shortcuts are nowhere listed",
     "tests/gui/test_help.py::test_every_shortcut_is_on_the_sheet"),
    ("the glossary is not at hand",
     "tests/gui/test_help.py::test_the_glossary_is_that_of_the_documentation_and_is_searched"),
    ("texts are clipped, elided or lie upon each other",
     "tests/gui/test_clipping.py::test_no_workspace_cuts_anything_off"),
    ("what a tour says is not what is there",
     "tests/gui/test_tours.py::test_a_newcomer_follows_every_tour_word_for_word"),
    ("a stop does not wait, or does not show what it speaks of",
     "tests/gui/test_tours.py::test_a_tour_shows_what_it_asks_for_and_goes_on_where_it_was_left"),
    ("a tour changes its example",
     "tests/gui/test_tours.py::test_a_copy_is_made_kept_and_never_overwritten"),
    ("a stop waits for the compiler",
     "tests/gui/test_tours.py::test_every_tour_compiles_ahead_and_the_race_what_attacks_and_the_check_need"),
    ("a newcomer does not get from the first start to a page to send",
     "tests/gui/test_real_window.py::test_a_newcomer_sends_a_race"),
    ("the page that was sent does not show the race",
     "tests/gui/test_real_window.py::test_the_page_shows_the_race_in_a_browser"),
    ("what is found cannot be sent",
     "tests/gui/test_sharing.py::test_a_counterexample_is_shared"),
    ("a part of a run cannot be sent",
     "tests/gui/test_sharing.py::test_explore_shares_the_steps_up_to_this_one"),
)  # fmt: skip
"""(fault, test) in the order of the issue."""


def outcomes(report: Path) -> dict[str, str]:
    """What became of each test, by its file and name: "gone", "there", or why it was not looked at."""
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name', '').partition('[')[0]}"
        skipped = case.find("skipped")
        failed = case.find("failure") is not None or case.find("error") is not None
        word = "there" if failed else f"not looked at: {skipped.get('message')}" if skipped is not None else "gone"
        if found.get(name, "gone") == "gone":
            found[name] = word
    return found


def run(tests: Iterable[str], options: Sequence[str]) -> dict[str, str]:
    """Run tests, those of one file in a process of their own: what ends one process costs no other file its answer.

    Returns:
        see `outcomes`.
    """
    by_file: dict[str, list[str]] = {}
    for test in dict.fromkeys(tests):
        by_file.setdefault(test.partition("::")[0], []).append(test)
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (file, some) in enumerate(by_file.items()):
            print(f"{number + 1} of {len(by_file)}: {file}", file=sys.stderr)
            report = Path(folder) / f"{number}.xml"
            words = [sys.executable, "-m", "pytest", "-q", "-m", "", f"--junitxml={report}", *options, *some]
            subprocess.run(words, cwd=ROOT, check=False, stdout=sys.stderr)
            if report.is_file():
                found |= outcomes(report)
    return found


def table(found: Mapping[str, str]) -> str:
    """Each fault with what became of it and the test that shows it, and how many are gone."""
    words = [found.get(test, "not run") for _, test in FAULTS]
    lines = [f"{word:6} {fault}\n       {test}" for word, (fault, test) in zip(words, FAULTS, strict=True)]
    return "\n".join([*lines, f"{words.count('gone')} of {len(FAULTS)} gone"])


def main() -> int:
    """Run the tests; 0 if all faults are gone."""
    if "--list" in sys.argv:
        print("\n".join(f"{fault}\n    {test}" for fault, test in FAULTS))
        return 0
    found = run((test for _, test in FAULTS), sys.argv[1:])
    print(table(found))
    return int(any(found.get(test) != "gone" for _, test in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
