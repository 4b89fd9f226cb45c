"""How the pipelines of a page stand, by what its looks and histories tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.standing.dues import Due, dues
from backupkit.integrations.asgi.standing.facts import Facts
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.past import Past
from backupkit.integrations.asgi.standing.sentences import Standing, standing
from backupkit.pipeline import BackupPipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """One pipeline, by the name that it has on the page, and all that is known of it."""

    name: str
    pipeline: BackupPipeline
    looks: Sequence[Look]
    past: Past | None
    dues: Sequence[Due]
    standing: Standing

    @property
    def looking(self) -> bool:
        """Whether more will be known in a moment."""
        return any(look.looking and look.silent is None for look in self.looks)

    @property
    def next_run(self) -> Due | None:
        """The next run; one that is overdue comes first."""
        runs = [due for due in self.dues if due.job.verb == "run"]
        return min(runs, key=lambda due: (due.since is None, due.next), default=None)

    @property
    def stored(self) -> int:
        return sum(look.overview.summary.stored for look in self.looks if look.overview is not None)

    @property
    def count(self) -> int:
        return sum(look.overview.summary.count for look in self.looks if look.overview is not None)


def stand(page: Page, names: Iterable[str] | None = None) -> Mapping[str, Stands]:
    """All pipelines of the page, or these."""
    chosen = list(page.pipelines if names is None else names)
    looks = page.looks.every(chosen)
    pasts = page.looks.pasts(chosen)
    now = page.clock()
    found = {}
    for name in chosen:
        pipeline, past = page.pipelines[name], pasts[name]
        own = str(pipeline.name)
        backups = [one for look in looks[name] for one in look.telling]
        # Else a run may have been at one that does not answer.
        certain = all(look.answers for look in looks[name]) or (past.value is not None and past.value.kept)
        due = dues(
            own,
            page.schedules.get(name),
            contents=pipeline.contents,
            backups=backups if certain else None,
            past=past.value if past.error is None else None,
            now=now,
        )
        facts = Facts(
            name=own,
            contents=pipeline.contents,
            looks=looks[name],
            past=past.value,
            past_error=past.error,
            dues=due,
            now=now,
            zone=page.zone,
        )
        found[name] = Stands(
            name=name,
            pipeline=pipeline,
            looks=looks[name],
            past=past.value,
            dues=due,
            standing=standing(facts),
        )
    return found
