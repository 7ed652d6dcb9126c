"""The results in results.json, and the table in README.md that is made from them, between two
markers."""

from pathlib import Path
from typing import Any

from benchmarks import machine
from mazewm.io import files

HERE = Path(__file__).parent
RESULTS, README = HERE / "results.json", HERE / "README.md"
BEGIN, END = "<!-- results: written by python -m benchmarks -->", "<!-- end of results -->"
HEAD = (
    "| work | peer | ours | theirs | ratio (rounds) | of the limit | checked |\n" + "|---" * 7 + "|"
)
Results = dict[str, Any]  # kind of processor -> machine, rows by benchmark


def load() -> Results:
    """All results so far, of all kinds of processors."""
    return files.read_json(RESULTS, "the benchmarks' results") if RESULTS.exists() else {}


def record(name: str, rows: list[dict[str, Any]]) -> None:
    """Replace the rows of one benchmark for this kind of processor, and rewrite the table."""
    results = load()
    own = results.setdefault(machine.kind(), {"machine": {}, "benchmarks": {}})
    own["machine"] = machine.description()
    own["benchmarks"][name] = rows
    files.write_json(RESULTS, results)
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    files.write_text(README, f"{before}{BEGIN}\n\n{text(results)}\n{END}{after}")


def number(value: float) -> str:
    """A number with three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def text(results: Results) -> str:
    """For each kind of processor, a table and, where measured, how our time divides into parts."""
    parts = []
    for kind, own in results.items():
        about = own["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        parts.append(
            f"### {kind}\n\n{about['threads']} thread; Python {about['python']}, {versions}.\n"
        )
        parts.append(HEAD)
        measured = [row for rows in own["benchmarks"].values() for row in rows]
        for row in measured:
            share = "" if row["share_of_limit"] is None else f"{row['share_of_limit']:.0%}"
            rates = f"{number(row['ours'])} {row['unit']} | {number(row['theirs'])}"
            ratio = f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            peer, _, way = row["peer"].partition(",")
            peer = f"{peer} {row['peer_version']}{',' * bool(way)}{way}"
            work, checked = f"{row['name']}: {row['work']}", row["checked"]
            parts.append(f"| {work} | {peer} | {rates} | {ratio} | {share} | {checked} |")
        for row in measured:
            if "account" in row:
                shares = ", ".join(f"{name} {share:.1%}" for name, share in row["account"].items())
                parts.append(f"\nTime of ours in *{row['name']}*, by part (itself only): {shares}.")
        parts.append("")
    return "\n".join(parts)
