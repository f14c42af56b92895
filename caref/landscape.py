"""What the objective does to one probability: where SCED turns, where training comes to rest, and a picture of it.

python -m caref.landscape
python -m caref.landscape --alpha 2 --beta 1 --words 49152
python -m caref.landscape --picture docs/objective.svg
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from caref.config.ranges import at_least
from caref.errors import UserError, reported

ALPHAS, BETAS = (1.0, 1.5, 2.0, 2.5), (0.0, 0.5, 1.0, 2.0)  # the paper's grid
WORDS = 32_128  # of Flan-T5
MOST = 100.0  # an alpha beyond which powers of log V leave what a float64 holds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m caref.landscape", description=__doc__.partition("\n")[0])
    parser.add_argument("--alpha", type=float, nargs="+", default=ALPHAS, help="default: 1 1.5 2 2.5")
    parser.add_argument("--beta", type=float, nargs="+", default=BETAS, help="default: 0 0.5 1 2")
    parser.add_argument("--lambda-sced", type=float, default=0.1, help="default: 0.1")
    parser.add_argument("--lambda-kl", type=float, default=0.1, help="default: 0.1")
    parser.add_argument("--words", type=int, default=WORDS, help="size of the vocabulary (default: Flan-T5's, 32128)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw it (the paper's grid) instead")
    options = parser.parse_args(arguments)
    with reported():
        try:
            for alpha in options.alpha:
                at_least(1, alpha=alpha)
                if alpha > MOST:
                    raise ValueError(f"alpha={alpha:g}: must be at most {MOST:g}")
            for beta in options.beta:
                at_least(0, beta=beta)
            at_least(0, lambda_sced=options.lambda_sced, lambda_kl=options.lambda_kl)
            at_least(3, words=options.words)
        except ValueError as error:
            raise UserError(f"--{str(error).replace('_', '-')}") from None
        if options.picture is None:
            print(table(options.alpha, options.beta, options.lambda_sced, options.lambda_kl, options.words))
        else:
            typed = {key for key, value in vars(options).items() if value != parser.get_default(key)} - {"picture"}
            if typed:
                raise UserError(f"--{min(typed).replace('_', '-')}: the picture is of the paper's grid; leave it out")
            if options.picture.suffix != ".svg":
                raise UserError(f"--picture {options.picture}: it is an SVG; name a file that ends in .svg")
            try:
                options.picture.write_text(picture(), encoding="utf-8")
            except OSError as error:
                raise UserError(f"--picture {options.picture}: {error.strerror}") from None


def table(alphas: Sequence[float], betas: Sequence[float], lambda_sced: float, lambda_kl: float, words: int) -> str:
    """A line a pair: SCED's turning point, and where a target's probability comes to rest under the whole objective."""
    from caref.objectives.single_target import SingleTarget, turning_point

    lines = [
        f"V = {words:,}; CE + {lambda_sced:g} SCED + {lambda_kl:g} KL",
        "",
        "alpha  beta  SCED turns at  a target's p rests at",
    ]
    for alpha in alphas:
        for beta in betas:
            turn = f"{turning_point(alpha, beta, words):.4f}" if beta else "never"
            rests = SingleTarget(alpha, beta, lambda_sced, lambda_kl, words).rests()
            stable = " or ".join(_told(rest) for rest in rests if rest.stable)
            parted = "".join(f", parted at {rest.p:.3f}" for rest in rests if not rest.stable)
            lines.append(f"{alpha:>5g}  {beta:>4g}  {turn:>13}  {stable}{parted}")
    return "\n".join(lines)


def _told(rest) -> str:
    if rest.p < 0.999:
        return f"{rest.p:.3f}"
    return f"1 - {rest.doubt:.1g}" if rest.doubt else "1"


def picture() -> str:
    """SVG: value and slope of SCED for the paper's alphas and betas, and the whole objective over a target's p."""
    import io
    import re

    import numpy as np
    from matplotlib.figure import Figure

    from caref.objectives.single_target import SingleTarget, logit, slope, turning_point, value
    from caref.report.figures.drawing import FAINT, INK, SERIES, style

    p = np.linspace(0.004, 0.996, 125)
    with style("objective"):
        canvas = Figure(figsize=(9.6, 9.0), layout="constrained")
        panels = canvas.subplots(3, 2)
        varied = (
            ("beta = 1", "alpha", [(alpha, 1.0) for alpha in ALPHAS]),
            ("alpha = 2", "beta", [(2.0, beta) for beta in BETAS]),
        )
        for column, (fixed, name, pairs) in enumerate(varied):
            above, below = panels[0, column], panels[1, column]
            for colour, (alpha, beta) in zip(SERIES, pairs, strict=False):
                label = f"{name} = {alpha if name == 'alpha' else beta:g}"
                above.plot(p, value(p, alpha, beta, WORDS), color=colour, label=label)
                below.plot(p, slope(p, alpha, beta, WORDS), color=colour, label=label)
                if beta:
                    turn = turning_point(alpha, beta, WORDS)
                    above.plot(turn, value(turn, alpha, beta, WORDS), "o", color=colour, ms=5)
                    below.plot(turn, 0, "o", color=colour, ms=5)
            above.set_title(f"SCED of one word, {fixed}", loc="left", fontsize=10)
            above.set_yscale("log")
            above.set_ylim(0.02, 200)
            above.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
            above.set_ylabel("g(p), log scale")
            above.legend(loc="lower right" if name == "beta" else "lower center", fontsize=8)
            below.set_title(f"its slope, {fixed}", loc="left", fontsize=10)
            below.set_yscale("symlog", linthresh=10)
            below.set_ylim(-300, 500)
            below.set_yticks([-100, -10, 0, 10, 100], ["-100", "-10", "0", "10", "100"])
            below.set_ylabel("g'(p), linear within ±10")
            below.axhline(0, color=INK, lw=0.8)
            below.text(0.02, 0.03, "below 0: SCED pushes p up", transform=below.transAxes, fontsize=8)
            below.text(0.02, 0.93, "above 0: SCED pushes p down", transform=below.transAxes, fontsize=8)
        whole, start = panels[2]
        terms = (
            ("CE", 0.0, 0.0),
            ("CE + 0.1 KL", 0.0, 0.1),
            ("CE + 0.1 SCED", 0.1, 0.0),
            ("CE + 0.1 SCED + 0.1 KL", 0.1, 0.1),
        )
        for colour, (label, sced, kl) in zip(SERIES, terms, strict=False):
            of = SingleTarget(lambda_sced=sced, lambda_kl=kl, words=WORDS)
            whole.plot(p, of.value(logit(p)), color=colour, label=label)
            start.plot(p, -of.slope(logit(p)), color=colour, label=label)
            for rest in of.rests():
                if rest.p < 0.999:
                    look = {"color": colour, "ms": 5.5, "mfc": colour if rest.stable else "white"}
                    whole.plot(rest.p, rest.value, "o", **look)
                    start.plot(rest.p, 0, "o", **look)
        whole.set_title("the loss of one target, alpha = 2, beta = 1", loc="left", fontsize=10)
        whole.set_ylim(0, 4)
        whole.set_ylabel("loss")
        whole.legend(loc="upper right", fontsize=8)
        start.set_title("the push on its logit (● rests, ○ parts)", loc="left", fontsize=10)
        start.axhline(0, color=INK, lw=0.8)
        start.set_ylim(-1.2, 2.0)
        start.set_ylabel("-dL/dz, above 0: up")
        for panel in panels.flat:
            panel.set_xlim(0, 1)
            panel.set_xlabel("p, probability of the word" if panel not in panels[2] else "p, probability of the target")
            panel.grid(color=FAINT, lw=0.6)
        canvas.suptitle(f"V = {WORDS:,}, natural logarithms", fontsize=10, x=0.995, ha="right")
        file = io.BytesIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    # a hundredth of a point is nothing to see, and no processor rounds it otherwise than another
    return re.sub(r"(\d\.\d\d)\d+", r"\1", re.sub(r" +\n", "\n", file.getvalue().decode()))


if __name__ == "__main__":
    main()
