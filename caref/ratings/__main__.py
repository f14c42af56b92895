"""RQ4: people judge the explanations.

python -m caref.ratings sample RESULTS [--dataset ecqa,esnli] [--cells SIGNATURE,SIGNATURE] [--out ratings]
python -m caref.ratings agree ratings [--key ratings/key.csv] [--results RESULTS]
"""

import argparse
from dataclasses import replace
from pathlib import Path

from caref.errors import UserError, reported


def sample(arguments: argparse.Namespace) -> None:
    """Draw the examples and write a page and a sheet a rater, and the key.

    Raises:
        UserError: where there is too little to draw from, or earlier ratings would be lost.
    """
    from caref.ratings import page, sampling, sheets, study
    from caref.results.writing import write_atomically

    for option in ("each", "raters"):
        if getattr(arguments, option) < 1:
            raise UserError(f"--{option} {getattr(arguments, option)}: must be at least 1")
    cells = sampling.chosen(arguments.results, _listed(arguments.dataset), _listed(arguments.cells))
    drawn = [
        one
        for dataset, group in cells.items()
        for one in sampling.draw(arguments.results, dataset, group, arguments.each, arguments.seed)
    ]
    made = study.compose(drawn, cells, arguments.seed, arguments.gold, arguments.checks)
    raters = [f"rater-{number}" for number in range(1, arguments.raters + 1)]
    out = arguments.out or arguments.results / "ratings"
    contents = {"key.csv": sheets.key(made)}
    for rater in raters:
        contents[f"{rater}.csv"] = sheets.sheet(made, rater, arguments.reasons)
        contents[f"{rater}.html"] = page.document(made, rater, arguments.reasons)
    for name, content in contents.items():
        if (out / name).exists() and (out / name).read_bytes() != content:
            raise UserError(f"--out {out}: {name} is there and differs (ratings in it?); choose another folder")
    for name, content in contents.items():
        write_atomically(out / name, content, "--out ")
    unexplained = sum(entry.kind == "cell" and not entry.item for entry in made.entries)
    print(f"{len(drawn)} inputs, {len(made.screens)} screens a rater, study {made.code}")
    for dataset, group in cells.items():
        named = "; ".join(sampling.labels(group).values())
        print(f"  {dataset}: {arguments.each} inputs that all are right on, of: {named}")
    if unexplained:
        print(f"  {unexplained} right answers come without an explanation: not shown, they count as no")
    print(f"for the raters: {out}/rater-N.html (or rater-N.csv), one each; nobody who rates may see {out}/key.csv")


def agree(arguments: argparse.Namespace) -> None:
    """Print what the ratings say, and keep it: judgement.json for the report, ratings.csv, figure 1c.

    Raises:
        UserError: where sheets or key cannot be what was handed out.
    """
    from caref.ratings import answers, beside_evidence, feb, judging, telling
    from caref.results.writing import check_writable, write_atomically

    if arguments.format == "feb":
        for option in ("key", "results"):
            if getattr(arguments, option):
                raise UserError(f"--{option}: FEB's files have none; leave it out with --format feb")
        found = feb.collect(arguments.sheets)
        out = arguments.out
    else:
        handed = [file for one in arguments.sheets for file in (sorted(one.glob("*.csv")) if one.is_dir() else [one])]
        if not handed:
            raise UserError(f"{arguments.sheets[0]}: there is no csv file in this folder")
        key = arguments.key or handed[0].parent / "key.csv"
        found = answers.collect(handed, key)
        usual = key.resolve().parent.parent  # where `sample` writes, unless told
        if arguments.results or any((usual / one.cell).is_dir() for one in found.judged if one.cell):
            found = beside_evidence.added(found, arguments.results or usual)
        else:
            note = f"evidence: {usual} holds none of these cells; --results names the folder that `sample` drew from"
            found = replace(found, notes=(*found.notes, note))
        out = arguments.out or key.parent / "agreement"
    if out:
        check_writable(out, "--out ")
    judgement = judging.judge(found)
    print(telling.text(judgement))
    if out:
        for name, content in telling.files(judgement, found).items():
            write_atomically(out / name, content, "--out ")
            print(out / name)
    if arguments.wandb:
        telling.track(judgement, out or Path(), arguments.wandb, arguments.project, arguments.entity)


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.ratings", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("sample", help="a page and a sheet for each rater, and the key")
    drawing.add_argument("results", type=Path, help="a results folder, as run.py writes it")
    drawing.add_argument("--dataset", help="which datasets, with commas between (default: all that the cells have)")
    drawing.add_argument("--cells", help="signatures of the cells to compare (default: all, if they are few)")
    drawing.add_argument("--each", type=int, default=30, help="inputs of each dataset (default: 30, the paper's)")
    drawing.add_argument("--raters", type=int, default=3, help="how many people rate (default: 3)")
    drawing.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (default: 0)")
    drawing.add_argument("--out", type=Path, help="folder for pages, sheets and key (default: RESULTS/ratings)")
    drawing.add_argument("--reasons", action="store_true", help="also ask whether each reason is true, and relevant")
    drawing.add_argument("--no-gold", dest="gold", action="store_false", help="leave out the gold explanations")
    drawing.add_argument("--no-checks", dest="checks", action="store_false", help="leave out the attention checks")
    drawing.set_defaults(run=sample)
    judging = commands.add_parser("agree", help="what the sheets that came back say")
    judging.add_argument(
        "sheets", type=Path, nargs="+", help="the raters' csv, or folders of them; a key among them is passed over"
    )
    judging.add_argument("--key", type=Path, help="the key (default: key.csv beside the first sheet)")
    judging.add_argument(
        "--results",
        type=Path,
        help="where the cells' evidence is (default: the folder above the key's, if it has them)",
    )
    judging.add_argument("--format", choices=["sheets", "feb"], default="sheets", help="feb: FEB's published ratings")
    judging.add_argument("--out", type=Path, help="folder for what is found (default: agreement beside the key)")
    judging.add_argument("--wandb", choices=["offline", "online"], help="tell W&B too")
    judging.add_argument("--project", default="caref", help="of W&B (default: caref)")
    judging.add_argument("--entity", help="of W&B")
    judging.set_defaults(run=agree)
    arguments = parser.parse_args()
    with reported():
        arguments.run(arguments)


if __name__ == "__main__":
    main()
