"""docs/reference/destination-faults.md says what the tests of faults have shown."""

from __future__ import annotations

from pathlib import Path

from tests.destinations import test_azure_faults, test_dropbox_faults, test_gcs_faults, test_s3_faults
from tests.destinations.faults import FAULTS, FaultTests, Moment

PAGE = Path(__file__).parents[2] / "docs/reference/destination-faults.md"
STORES: dict[str, type[FaultTests]] = {
    "S3": test_s3_faults.TestFaultsOfS3,
    "Google Cloud Storage": test_gcs_faults.TestFaultsOfGCS,
    "Azure": test_azure_faults.TestFaultsOfAzure,
    "Dropbox": test_dropbox_faults.TestFaultsOfDropbox,
}
DONE: dict[Moment, str] = {"read": "read", "list": "listed"}


def _cell(store: type[FaultTests], fault: str) -> str:
    outcome = store.outcomes.get(fault)
    if outcome is None:
        return "–"
    if outcome == "stored":
        return DONE.get(FAULTS[fault].moment, "stored")
    error, _, more = outcome.partition(" ")
    return error if error == "unknown" else f"`{error}` {more}".rstrip()


def test_the_page_says_what_comes_of_each_fault_at_each_store() -> None:
    rows = [[fault, *(_cell(store, fault) for store in STORES.values())] for fault in FAULTS]
    lines = [f"| {' | '.join(row)} |" for row in [["what goes wrong", *STORES], *rows]]
    table = "\n".join([lines[0], "|---" * (len(STORES) + 1) + "|", *lines[1:]])
    assert table in PAGE.read_text(encoding="utf-8"), f"The table should be:\n{table}"
