"""What is said of how backups stand: nothing that is not so, and what is wrong first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit import Problem
from backupkit.integrations.asgi.standing.dues import Due
from backupkit.integrations.asgi.standing.facts import Facts, Known
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.past import Past
from backupkit.integrations.asgi.standing.sentences import standing, together
from backupkit.model import Backup, Contents
from backupkit.scheduling import Scheduled
from tests.integrations.asgi.standing import (
    DUMPS,
    FILES,
    FULL,
    NOW,
    at,
    backup,
    facts,
    past,
    report,
    said,
    told,
)

RUN = Scheduled("0 3 * * *", "run")
SILENT = Look("sftp://there/b", None, error="Connection refused")


def late(scheduled: Scheduled, since: datetime) -> Due:
    return Due(scheduled, NOW + timedelta(hours=1), since)


def test_when_all_is_well_it_is_said_to_when_since_when_and_how_fast() -> None:
    proven = backup(at(22), proven=at(22, 9))
    drill = report("drill", at(22, 8), "succeeded", proven, restore_took=timedelta(minutes=3))
    newest = backup(at(25, 9), stored=200)
    assert said(told(newest, proven), past=past(drills=(drill,))) == [
        "Recoverable to today 09:00.",
        "Last proven by a drill on Sunday.",
        "A restore takes about 6 minutes.",
    ]


def test_files_and_databases_of_different_times_are_said_separately() -> None:
    look = told(backup(at(25, 3), proven=at(25, 4)), backup(at(25, 9), DUMPS))
    assert said(look)[0] == "The files are recoverable to today 03:00, the databases to today 09:00."


def test_without_any_backup_nothing_can_be_restored() -> None:
    assert said(told()) == ["Nothing can be restored: there is no good backup."]


@pytest.mark.parametrize(
    ("flawed", "state"),
    [
        (backup(at(25), complete=False), "incomplete"),
        (backup(at(25), complete=None), "not known to be complete"),
        (backup(at(25), damaged=True), "damaged"),
    ],
)
def test_without_a_good_backup_it_is_said_what_there_is(flawed: Backup, state: str) -> None:
    last = (
        f"There is no good backup. The newest, of today 03:00, is {state}: restored, it may lack something."
    )
    assert last in said(told(flawed))


def test_what_is_missing_is_named_and_the_rest_is_recoverable() -> None:
    assert said(told(backup(at(25), FILES, proven=at(25, 4)))) == [
        "The databases cannot be restored: there is no good backup of them.",
        "The files are recoverable to today 03:00.",
        "The files were last proven by a drill today.",
    ]


def test_the_backup_of_a_clock_that_was_wrong_counts_for_nothing() -> None:
    assert said(told(backup(NOW + timedelta(days=1)))) == [
        "Nothing can be restored: there is no good backup."
    ]


def test_what_a_drill_has_refuted_is_not_recoverable() -> None:
    found = said(told(backup(at(25), refuted=True), backup(at(24), proven=at(24, 5))))
    assert found[0] == "The backup of today 03:00 at memory:a did not pass its drill."
    assert found[1] == "Recoverable to yesterday 03:00."
    assert said(told(backup(at(25), refuted=True)))[0] == (
        "Nothing is known to be restorable: a drill has found something wrong with each good backup."
    )


def test_a_refuted_backup_is_told_until_a_newer_one_was_proven() -> None:
    assert said(told(backup(at(24), refuted=True), backup(at(25), proven=at(25, 4)))) == [
        "Recoverable to today 03:00.",
        "Last proven by a drill today.",
    ]


def test_a_damaged_backup_is_told_first() -> None:
    assert said(told(backup(at(25), damaged=True), backup(at(24), proven=at(24, 5))))[:2] == [
        "The backup of today 03:00 at memory:a is damaged.",
        "Recoverable to yesterday 03:00.",
    ]


def test_a_drill_that_failed_is_told_with_its_reason() -> None:
    refuted = backup(at(24), refuted=True)
    drill = report("drill", at(24, 5), "failed", refuted, problems=(Problem(message="No orders came back."),))
    found = said(told(refuted, backup(at(23), proven=at(23, 4))), past=past(drills=(drill,)))
    assert found[:2] == [
        "The last drill failed yesterday 05:00: No orders came back.",
        "Recoverable to Monday 03:00.",
    ]


def test_never_proven_is_worth_a_look() -> None:
    found = standing(facts(told(backup(at(25))))).sentences
    assert [(one.tone, one.text) for one in found] == [
        ("warn", "Never proven by a drill."),
        ("good", "Recoverable to today 03:00."),
    ]


def test_without_a_history_only_what_is_there_is_said_of_drills() -> None:
    assert said(told(backup(at(25))), past=past(kept=False))[0] == (
        "No backup that is there was proven by a drill."
    )


def test_the_history_knows_of_drills_whose_backups_are_gone() -> None:
    drill = report("drill", at(15), "succeeded", backup(at(14), proven=at(15)))
    assert "Last proven by a drill on 15 Nov." in said(told(backup(at(25))), past=past(drills=(drill,)))


def test_the_half_that_was_never_proven_is_named() -> None:
    look = told(backup(at(25)), backup(at(24), DUMPS, proven=at(25, 4)))
    assert said(look) == [
        "The files were never proven by a drill.",
        "Recoverable to today 03:00.",
        "The databases were last proven by a drill today.",
    ]


def test_a_run_that_was_not_made_is_told_with_the_age_of_the_newest() -> None:
    look = told(backup(at(22), proven=at(22, 4)), problems=(Problem(message="Too old.", check="MaximumAge"),))
    assert said(look, dues=(late(RUN, at(24)),))[0] == (
        "The newest good backup is 3 days old; one was due yesterday 03:00."
    )
    assert "Too old." not in said(look, dues=(late(RUN, at(24)),))


def test_a_run_of_the_databases_that_was_not_made_is_told_as_such() -> None:
    due = late(Scheduled("0 */6 * * *", "run", only="databases"), at(25, 6))
    assert said(told(backup(at(25, 0))), dues=(due,))[0] == (
        "The newest good backup of the databases is 12 hours old; one was due today 06:00."
    )
    both = said(told(backup(at(23))), dues=(late(RUN, at(25)), due))
    assert sum("was due" in one for one in both) == 1


def test_what_else_was_not_done_is_worth_a_look() -> None:
    due = late(Scheduled("0 4 * * *", "clean"), at(25, 4))
    found = standing(facts(told(backup(at(25), proven=at(25, 4))), dues=(due,))).sentences
    assert (found[0].tone, found[0].text) == (
        "warn",
        "Cleaning was due today 04:00, and nothing says that it was done.",
    )


def test_the_last_run_that_failed_is_told_with_its_reason() -> None:
    run = report("run", at(25), "failed", problems=(Problem(message="The disk is full."),))
    look = told(backup(at(24), proven=at(24, 5)))
    assert said(look, past=past(runs=(run,)))[0] == "The last run failed today 03:00: The disk is full."


def test_a_failed_run_is_told_until_everything_was_backed_up_since() -> None:
    failed = report("run", at(24), "failed", problems=(Problem(message="The disk is full."),))
    dumps = report("run", at(24, 9), "succeeded", backup(at(24, 9), DUMPS))
    full = report("run", at(25), "succeeded", backup(at(25)))
    look = told(backup(at(25), proven=at(25, 4)))
    assert said(look, past=past(runs=(dumps, failed)))[0] == (
        "A run failed yesterday 03:00, and not everything was backed up since: The disk is full."
    )
    assert said(look, past=past(runs=(full, dumps, failed))) == said(look)


def test_a_run_of_a_half_that_failed_is_told_until_that_half_was_backed_up() -> None:
    failed = report("run", at(24, 6), "failed", contents=DUMPS)
    dumps = report("run", at(24, 9), "succeeded", backup(at(24, 9), DUMPS))
    files = report("run", at(24, 9), "succeeded", backup(at(24, 9), FILES))
    look = told(backup(at(24), proven=at(24, 5)))
    assert said(look, past=past(runs=(dumps, failed))) == said(look)
    assert said(look, past=past(runs=(files, failed)))[0] == (
        "A run failed yesterday 06:00, and not everything was backed up since."
    )


def test_a_run_that_lost_something_is_worth_a_look() -> None:
    lost = backup(at(25), complete=False)
    run = report("run", at(25), "incomplete", lost, problems=(Problem(message="One file was not read."),))
    assert said(told(lost, backup(at(24), proven=at(24, 4))), past=past(runs=(run,)))[0] == (
        "The last run, today 03:00, was incomplete: One file was not read."
    )


def test_without_a_report_the_newest_backup_tells_itself_that_it_is_not_whole() -> None:
    before = backup(at(24), proven=at(24, 4))
    for complete, words in ((False, "incomplete"), (None, "not known to be complete")):
        newest = backup(at(25), complete=complete)
        assert said(told(newest, before))[:2] == [
            f"The newest backup, of today 03:00, is {words}.",
            "Recoverable to yesterday 03:00.",
        ]
    known = past(runs=(report("run", at(25), "incomplete", newest),))
    assert not any("newest backup" in one for one in said(told(newest, before), past=known))
    newer = backup(at(25, 9), DUMPS)
    assert said(told(newer, newest, before))[0].startswith("The newest backup, of today 03:00, is not")


def test_a_destination_that_lacks_what_another_has_is_told_with_what_it_has() -> None:
    here = told(backup(at(25), proven=at(25, 4)))

    def there(*backups: Backup) -> Look:
        return told(*(replace(one, location="memory:b") for one in backups), location="memory:b")

    assert said(here, there(backup(at(25)))) == said(here)
    assert said(here, there(backup(at(22))))[:2] == [
        "At memory:b the newest good backup is of Sunday 03:00.",
        "Recoverable to today 03:00.",
    ]
    assert said(here, there())[0] == "At memory:b there is no good backup."
    assert said(here, there(backup(at(25), damaged=True), backup(at(22))))[1] == (
        "At memory:b the newest good backup is of Sunday 03:00."
    )
    dumps, files = (
        f"At memory:b the newest good backup of the {what} is of {when} 03:00."
        for what, when in (("databases", "yesterday"), ("files", "Sunday"))
    )
    assert said(here, there(backup(at(24), DUMPS), backup(at(22))))[:2] == [files, dumps]


def test_a_destination_for_which_there_are_runs_of_its_own_may_be_behind() -> None:
    weekly = Due(Scheduled("0 5 * * SUN", "run", to="memory:b"), NOW)
    here = told(backup(at(25), proven=at(25, 4)))
    there = told(backup(at(22), location="memory:b"), location="memory:b")
    found = standing(facts(here, there, dues=(weekly,))).sentences
    assert found[0].text == "Recoverable to today 03:00."
    assert (found[-1].tone, found[-1].text) == (
        "calm",
        "At memory:b the newest good backup is of Sunday 03:00.",
    )


def test_a_destination_that_is_too_old_by_its_check_is_told_once() -> None:
    old = Problem(message="Three days old.", check="MaximumAge")
    there = told(backup(at(22), location="memory:b"), location="memory:b", problems=(old,))
    found = said(told(backup(at(25), proven=at(25, 4))), there)
    assert found[0] == "memory:b: Three days old."
    assert not any("newest good backup" in one for one in found)
    overdue = said(told(backup(at(24), proven=at(24, 4))), there, dues=(late(RUN, at(25)),))
    assert "memory:b: Three days old." not in overdue
    assert "At memory:b the newest good backup is of Sunday 03:00." in overdue


def test_of_a_destination_that_does_not_answer_it_is_not_said_that_it_is_behind() -> None:
    there = replace(told(backup(at(22), location="memory:b"), location="memory:b"), error="It is away.")
    found = said(told(backup(at(25), proven=at(25, 4))), there)
    assert not any("newest good backup" in one for one in found)


def test_a_destination_that_does_not_answer_is_told_first_and_claims_nothing() -> None:
    assert said(SILENT) == [
        "sftp://there/b cannot be looked at: Connection refused.",
        "Whether anything can be restored is not known.",
    ]


def test_what_only_a_silent_destination_has_is_recoverable_when_it_answers() -> None:
    gone = replace(told(backup(at(25))), error="Connection refused")
    assert said(gone) == [
        "memory:a cannot be looked at: Connection refused. What is shown of it is of today 12:00.",
        "The files of today 03:00 can be restored only when memory:a answers.",
        "The databases of today 03:00 can be restored only when memory:a answers.",
    ]
    found = said(gone, told(backup(at(24), location="memory:b", proven=at(24, 5)), location="memory:b"))
    assert "Recoverable to yesterday 03:00." in found


def test_nothing_at_one_destination_proves_nothing_while_another_is_silent() -> None:
    assert said(told(), SILENT)[1] == "No good backup is known, and not every destination has answered."


def test_one_that_hangs_is_told_with_for_how_long() -> None:
    hanging = Look("sftp://there/b", None, looking=True, silent=timedelta(minutes=5))
    assert said(hanging)[0] == "sftp://there/b has not answered for 5 minutes."


def test_while_it_is_being_asked_nothing_is_wrong_yet() -> None:
    found = standing(facts(Look("memory:a", None, looking=True))).sentences
    assert [(one.tone, one.text) for one in found] == [("calm", "memory:a is being asked.")]


def test_what_checks_find_is_told_and_of_several_destinations_where() -> None:
    problem = Problem(message="Too large.", check="MaximumStorage")
    proven = backup(at(25), proven=at(25, 4))
    assert said(told(proven, problems=(problem,)))[0] == "Too large."
    elsewhere = told(backup(at(25), location="memory:b"), location="memory:b")
    assert said(told(proven, problems=(problem,)), elsewhere)[0] == "memory:a: Too large."


def test_a_history_that_does_not_answer_is_told() -> None:
    look = told(backup(at(25), proven=at(25, 4)))
    assert said(look, past_error="no such host")[0] == "The history does not answer: no such host."


@pytest.mark.parametrize(
    ("read", "words"),
    [(1000, ["A restore takes about 10 minutes."]), (10, [])],
    ids=["all of it", "one file of it"],
)
def test_a_restore_of_a_whole_backup_says_how_long_one_takes(read: int, words: list[str]) -> None:
    old = backup(at(24), proven=at(24, 5))
    run = report("run", at(24), "succeeded", old, read=1000)
    restore = report("restore", at(24, 9), "succeeded", old, read=read, took=timedelta(minutes=10))
    found = said(told(old, backup(at(25))), past=past(runs=(run,), restores=(restore,)))
    assert [one for one in found if "restore takes" in one] == words


@pytest.mark.parametrize(("outcome", "proven"), [("failed", at(24, 9)), ("succeeded", at(23))])
def test_a_drill_that_failed_or_was_of_a_part_does_not_say_how_long_all_of_it_takes(
    outcome: str, proven: datetime
) -> None:
    drill = report(
        "drill", at(24, 8), outcome, backup(at(22), proven=proven), restore_took=timedelta(minutes=3)
    )
    found = said(told(backup(at(25), proven=at(25, 4))), past=past(drills=(drill,)))
    assert not any("restore takes" in one for one in found)


def test_a_drill_of_a_half_does_not_say_how_long_all_of_it_takes() -> None:
    half = backup(at(24), DUMPS, proven=at(24, 9))
    drill = report("drill", at(24, 8), "succeeded", half, restore_took=timedelta(minutes=3))
    assert not any("restore takes" in one for one in said(told(backup(at(25))), past=past(drills=(drill,))))


def test_of_several_pipelines_those_with_something_wrong_are_named() -> None:
    well = standing(facts(told(backup(at(25), proven=at(25, 4)))))
    older = standing(facts(told(backup(at(24), proven=at(25, 4)))))
    wrong = standing(facts(told()))
    never = standing(facts(told(backup(at(25)))))
    assert [one.text for one in together({"a": well, "b": older}, now=NOW, zone=UTC)] == [
        "All 2 pipelines are recoverable, to yesterday 03:00 or later."
    ]
    assert [one.text for one in together({"a": well, "b": wrong, "c": never}, now=NOW, zone=UTC)] == [
        "Something is wrong with 1 of 3 pipelines: b.",
        "Worth a look: c.",
        "2 of 3 pipelines are recoverable.",
    ]


def test_of_many_pipelines_only_some_are_named() -> None:
    wrong = standing(facts(told()))
    (first, *_) = together({f"p{number}": wrong for number in range(200)}, now=NOW, zone=UTC)
    assert first.text == "Something is wrong with 200 of 200 pipelines: p0, p1, p2, p3, p4 and 195 more."


TIMES = st.integers(0, 40 * 24).map(lambda hours: NOW - timedelta(hours=hours) + timedelta(days=2))
CONTENTS = st.sampled_from([FULL, FILES, DUMPS])
BACKUPS = st.builds(
    lambda time, contents, complete, damaged, refuted, proven: backup(
        time, contents, complete=complete, damaged=damaged, refuted=refuted, proven=time if proven else None
    ),
    TIMES,
    CONTENTS,
    st.sampled_from([True, True, False, None]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@st.composite
def looks(draw: st.DrawFn) -> Look:
    location = draw(st.sampled_from(["memory:a", "memory:b"]))
    error = draw(st.sampled_from([None, None, "It is away"]))
    if draw(st.integers(0, 3)) == 0:
        return Look(location, None, error=error, looking=error is None)
    some = [replace(one, location=location) for one in draw(st.lists(BACKUPS, max_size=4))]
    problems = draw(st.lists(st.just(Problem(message="Unwell.", check="Own")), max_size=1))
    return replace(told(*some, location=location, problems=tuple(problems)), error=error)


@st.composite
def known(draw: st.DrawFn) -> Facts:
    outcome = st.sampled_from(["succeeded", "incomplete", "failed"])
    runs = [report("run", draw(TIMES), draw(outcome), *draw(st.lists(BACKUPS, max_size=1))) for _ in range(2)]
    reported: Past | None = draw(st.sampled_from([None, past(), past(runs=tuple(runs))]))
    due: list[Due] = draw(
        st.sampled_from([[], [late(RUN, at(24))], [late(Scheduled("0 4 * * *", "clean"), at(24))]])
    )
    found = draw(st.lists(looks(), min_size=1, max_size=3))
    return replace(facts(*found, contents=draw(CONTENTS), dues=tuple(due)), past=reported)


def is_usable(one: Backup, contents: Contents) -> bool:
    future = one.time > NOW + timedelta(minutes=10)
    return bool(one.complete) and not (one.damaged or one.refuted or future) and contents in one.contents


@settings(max_examples=40)
@given(st.lists(BACKUPS, max_size=6), CONTENTS)
def test_the_few_that_tell_say_all_that_all_of_them_would(
    backups: list[Backup], held: frozenset[Contents]
) -> None:
    look = told(*backups)
    every = [one for one in backups if one.time <= NOW + timedelta(minutes=10)]
    all_ = replace(look, telling=sorted(every, key=lambda one: one.time, reverse=True))
    due = (late(RUN, at(24)),)
    assert len(look.telling) <= 25
    assert standing(facts(look, contents=held, dues=due)) == standing(facts(all_, contents=held, dues=due))


@given(known())
def test_something_is_always_said_and_what_is_wrong_comes_first(of: Facts) -> None:
    found = standing(of).sentences
    tones = [one.tone for one in found]
    assert found
    assert tones == sorted(tones, key=["bad", "warn", "good", "calm"].index)
    assert all(one.text[0].isalpha() and one.text.endswith(".") for one in found)


@given(known())
def test_nothing_is_recoverable_without_a_good_backup_of_it_that_can_be_reached(of: Facts) -> None:
    there = [one for look in of.looks if look.answers and look.overview for one in look.overview.backups]
    usable = {each for each in of.contents if any(is_usable(one, each) for one in there)}
    claims = [one.text for one in standing(of).sentences if "ecoverable to" in one.text]
    if not usable:
        assert not claims
        assert standing(of).tone != "good"
        assert standing(of).recoverable is None
    elif usable < of.contents:
        assert claims == [one for one in claims if not one.startswith("Recoverable")]
        assert Known(of).recoverable is None
    else:
        assert len(claims) == 1
