"""The command line: one verb a floor. Imports wait until a verb runs, so that --help does not load torch."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from deepglass import __version__
from deepglass.answers import print_figures, print_json, print_run, say
from deepglass.errors import DeepglassError, Interrupted, RecipeError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip

# Written out, because reading them off the code would load torch; a test holds them to it.
FIELDS = (
    "Recipe fields for --set: target task valid test split group time ignore size, model, seed epochs minutes patience "
    "batch_size accumulate clip, optimizer learning_rate momentum weight_decay decay_all schedule warmup final_rate, "
    "loss label_smoothing class_weights, augment mixup cutmix, average average_decay, device precision "
    "checkpoint_every, watch, metric baselines report. Options of neuron: activation initialization; of mlp: widths "
    "activation dropout normalization initialization embedding embedding_width members; of convolution: widths depth "
    "kernel dense activation normalization dropout initialization form; of residual: form depth scale widths blocks "
    "activation normalization dropout drop_path initialization. What a run was trained with is in its recipe.toml."
)

DataArgument = Annotated[str, typer.Argument(metavar="DATA", help="A named set, a file, a folder or an archive.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that train printed.")]
TargetOption = Annotated[str | None, typer.Option("--target", help="The column to predict.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepglass {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Deep learning you can see through: train a network on your data, judge it honestly, look inside."""


@app.command(epilog=FIELDS)
def train(
    data: DataArgument,
    target: TargetOption = None,
    model: Annotated[
        str | None, typer.Option(help="A family: neuron, mlp, convolution, residual. Else the fitting one.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="How often to go through the training rows.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long to train, in place of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of the split, the weights and the order.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder. Else runs/NAME-1, -2, …")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any recipe field or model option; recipe=FILE for a file."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network on DATA, judge it on rows it never saw, and compare it with simple baselines."""
    from deepglass.experiment import train as run_training
    from deepglass.seeing.report import read_seen
    from deepglass.training.progress import Shown

    given = {"target": target, "model": model, "epochs": epochs, "minutes": minutes, "seed": seed, "device": device}
    recipe = _recipe(settings or [], {name: value for name, value in given.items() if value is not None})
    shown = Shown()
    try:
        run = run_training(data, out=out, resume=resume, recipe=recipe, listeners=(shown,), say=shown.say)
    except Interrupted as stopped:
        say(str(stopped))
        raise typer.Exit(130) from None
    finally:
        shown.close()
    print_run(run, read_seen(run.path).get("diagnosis", {}).get("findings", ()))
    if as_json:
        print_json(run.outcome)


@app.command()
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Labelled data. Else the run's own test.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a trained RUN on labelled DATA, or say again how it did on its own test part."""
    from deepglass.training.run import load

    trained = load(run)
    figures = trained.evaluate(data)
    for note in trained.notes:
        say(f"{note.level}: {note.text}")
    print_figures(f"{run} on {data or 'its own test part'}", figures)
    if as_json:
        print_json({"run": str(run), "data": data, "task": trained.schema.target.task, "metrics": figures})


@app.command()
def predict(
    run: RunArgument,
    data: DataArgument,
    out: Annotated[
        Path | None, typer.Option(help="A .csv, .tsv, .parquet or .jsonl file. Else a CSV is printed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict every row or picture of DATA with a trained RUN."""
    from deepglass.training.predictions import predictions, write_predictions
    from deepglass.training.run import load

    trained = load(run)
    table = predictions(trained, data)
    for note in trained.notes:
        say(f"{note.level}: {note.text}")
    text = write_predictions(table, out)
    if out is None and not as_json:
        typer.echo(text, nl=False)
    else:
        say(f"{table.num_rows} predictions" + (f" in {out}" if out else ""))
    if as_json:
        rows = {} if out else {"predictions": table.to_pylist()}
        print_json({"run": str(run), "data": data, "rows": table.num_rows, "out": str(out) if out else None, **rows})


@app.command("data")
def data_command(data: DataArgument, target: TargetOption = None, as_json: JsonOption = False) -> None:
    """Say what is inferred from DATA: kind, columns, target, split, metric, troubles. Nothing is trained."""
    from deepglass.training.preview import preview, preview_text
    from deepglass.training.recipe import Recipe

    found = preview(data, Recipe().changed(**({} if target is None else {"target": target})))
    typer.echo(preview_text(found))
    if as_json:
        print_json(found)


@app.command()
def see(
    subject: Annotated[str, typer.Argument(metavar="RUN_OR_FILE", help="A run's folder, or a .py file of yours.")],
    view: Annotated[str, typer.Option(help="layers, nodes, graph or summary.")] = "layers",
    at: Annotated[str | None, typer.Option(metavar="LAYER", help="One layer alone, with its figures.")] = None,
    step: Annotated[int | None, typer.Option(help="One operation of the walk forward and backward, from 1.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .svg, .png, .html or .txt file to draw it in.")] = None,
) -> None:
    """See what a trained RUN, or a module in a Python file (FILE.py or FILE.py:NAME), computes."""
    from deepglass.seeing.looking import look

    typer.echo(look(subject, view, at, step, out))


@app.command()
def diagnose(
    run: RunArgument,
    cure: Annotated[bool, typer.Option("--cure", help="Train again with the remedy, and compare.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a RUN, where, why, and what cures it."""
    from deepglass.diagnosing.diagnose import diagnose as examine
    from deepglass.training.progress import Shown

    found = examine(run)
    typer.echo(str(found))
    if cure and found.findings:
        from deepglass.curing import cure as treat

        shown = Shown()
        try:
            first = next((one for one in found.findings if one.cure), None)
            cured = treat(run, first, listeners=(shown,), say=shown.say)
        except Interrupted as stopped:
            say(str(stopped))
            raise typer.Exit(130) from None
        finally:
            shown.close()
        typer.echo(f"\n{cured}")
    if as_json:
        print_json(found.to_json())


@app.command()
def report(
    run: RunArgument,
    other: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="A second run, to compare with.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the report of a RUN again, or one page of two, and say where it is."""
    import webbrowser

    from deepglass.seeing.comparison import write_comparison
    from deepglass.seeing.report import write_report
    from deepglass.training.run import read_schema

    read_schema(run)
    page = write_report(run) if other is None else write_comparison(run, other)
    typer.echo(str(page))
    if open_page:
        webbrowser.open(page.resolve().as_uri())


def _recipe(settings: list[str], given: dict[str, Any]) -> Any:
    from deepglass.training.recipe import Recipe, read_recipe

    recipe, changes = Recipe(), {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--set {setting}: not FIELD=VALUE.", next="for example: --set learning_rate=0.01")
        if name.strip() == "recipe":
            recipe = read_recipe(Path(value.strip()).expanduser())
        else:
            changes[name.strip()] = value.strip()
    return recipe.changed(**changes).changed(**given)


def main() -> None:
    """Run the command; exit 0 done, 2 the user's input, 1 ours, 130 interrupted with the work kept."""
    # Before torch is loaded: by default its threads (GNU OpenMP's, on Linux) spin for long while they wait, which
    # beside any other busy program makes a step several times slower. A short spin costs a quiet machine nothing.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        # Out of standalone mode the library returns the exit code of what it handled itself: --help, Ctrl-C.
        sys.exit(app(standalone_mode=False))
    except DeepglassError as error:
        say(f"error: {error}")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: not an error. Python would complain when flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        _usage_error(error)
        _our_fault(error)


def _usage_error(error: Exception) -> None:
    """Words the command line does not know: the library's own short message, exit 2."""
    show = getattr(error, "show", None)
    if show:
        show()
        sys.exit(2)


def _our_fault(error: Exception) -> None:
    if os.environ.get("DEEPGLASS_DEBUG"):
        traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    say(
        f"error: deepglass itself failed ({type(error).__name__}: {error}) in {Path(place.filename).name}, line "
        f"{place.lineno}. Next: run again with DEEPGLASS_DEBUG=1 and send what it prints with your report"
    )
    sys.exit(1)
