from flowlat.report.page.blocks import Section, Table, Text
from flowlat.report.page.terminal import as_text


def test_tables_and_warnings_are_shown_and_nothing_else():
    first = Section(
        "Runs",
        [
            Text("One job did not finish.", warning=True),
            Text("A pull is a difference."),
            Table(["run", "epochs"], [["k = 1", "12"], ["conv", "-"]], "Caption.", frozenset([0])),
        ],
    )
    second = Section("Origin", [Table(["", ""], [["torch", "2"]]), Text("{}", title="config")])
    assert as_text([first, second]) == (
        "One job did not finish.\n\n"
        "Caption.\n    run    epochs\n  * k = 1  12\n    conv   -\n\n"
        "    torch  2"
    )
