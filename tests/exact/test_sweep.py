"""A whole sweep on a tiny CLIP and tiny folders: its figures are those of direct calls, and it resumes."""

import json
import re
import shutil
from html import escape
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import kit
from kit.cli import main
from kit.data import WATERBIRDS_SIZES, class_vectors, imagenet_classes
from kit.edits import Means, ask_classes
from kit.errors import KitError
from kit.figures import Bars, Curves, Maps, Table
from kit.maps import segment
from kit.measures import GroupBootstrap, changes, hits
from kit.parts import load_store, store_pass
from kit.projections import Bank, reconstructed_cosines, textspan
from kit.retrieval import retrieval_table
from kit.sweep import Settings, estimate, measured, read_report, stages, sweep
from kit.sweep.ablation import CROSSED, OWN
from kit.sweep.settings import rows
from kit.sweep.work import Work, halves
from tests.exact.sweep_doubles import CLASSES, planted, tiny, write_imagenet, write_waterbirds
from tests.unit.test_imagenet_segmentation import write as write_masks

SETTINGS = Settings(candidates="present", last=1, draws=10, batch=8)


@pytest.fixture(scope="module", autouse=True)
def fewer_texts():
    """Every tenth of the 2,200 texts of the tagged bank: encoding all takes most of the time."""
    patch = pytest.MonkeyPatch()
    from kit.projections import banks, photographs

    some = photographs.tagged_texts()[::10]
    patch.setattr(banks, "tagged_texts", lambda: some)
    patch.setattr(photographs, "tagged_texts", lambda: some)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The model, the two folders, and where everything lies."""
    root = tmp_path_factory.mktemp("sets")
    imagenet, waterbirds = write_imagenet(root / "imagenet"), write_waterbirds(root / "birds")
    return tiny(root, imagenet, waterbirds), imagenet, waterbirds, root


@pytest.fixture(scope="module")
def done(given):
    """A sweep that nothing interrupted, the lines that it said, and how often the tower ran."""
    model, imagenet, waterbirds, root = given
    said, before = [], model.passes["image"]
    found = sweep(model, root / "out", imagenet, waterbirds, settings=SETTINGS, say=said.append)
    return found, said, model.passes["image"] - before


def store_of(done, model, name: str):
    return load_store(model, next((done[0].folder / "stores").glob(f"{name}-*")))


def plain(report: dict) -> dict:
    """A report without what differs between two equal runs."""
    found = json.loads(json.dumps(report))
    for stage in found["stages"].values():
        stage.pop("seconds", None)
    return found


def test_every_stage_with_data_is_done_and_the_rest_is_said(done):
    found, said, _ = done
    status = {name: stage["status"] for name, stage in found.report["stages"].items()}
    assert status["ablation"] == status["spans"] == status["cues"] == "done" and not found.failed
    assert status["segmentation"] == "not run"
    assert "--segmentation" in found.report["stages"]["segmentation"]["why"]
    assert read_report(found.folder) == found.report
    assert any("Images to pass: 24 of imagenet, 24 of waterbirds val" in line for line in said)
    assert any(line.startswith("Disk: about") for line in said)


def test_the_page_holds_every_figure_with_its_words_and_nothing_of_elsewhere(done):
    found = done[0]
    page = (found.folder / "report.html").read_text()
    shown = [
        figure
        for stage in stages.STAGES
        if found.report["stages"][stage.name]["status"] == "done"
        for figure in stage.show(found.report["stages"][stage.name]["result"])
    ]
    drawn = [figure for figure in shown if not isinstance(figure, Table)]
    assert page.count("<svg") == page.count('role="img" aria-label="') == len(drawn) >= 8
    long = [figure for figure in shown if isinstance(figure, Table) and len(figure.frame) > 20]
    assert page.count("<details>") == len(drawn) + len(long)  # the numbers of each picture, folded
    for figure in shown:
        assert figure.section() in page and figure.title
        assert escape(figure.says) in page and (isinstance(figure, Table) or escape(figure.alt) in page)
    names = re.findall(r'\bid="([^"]*)"', page)
    assert len(names) == len(set(names)) and set(re.findall(r'href="#([^"]*)"', page)) <= set(names)
    assert "http" not in page and "<script" not in page  # nothing is fetched
    assert "whole set" in page and "published" in page.lower()


def test_figures_of_stages_show_the_numbers_of_the_report(done):
    entries = {name: stage.get("result") for name, stage in done[0].report["stages"].items()}
    table, curve = stages.ablation.show(entries["ablation"])
    crossed, own = (entries["ablation"]["tables"][whose] for whose in (CROSSED, OWN))
    for row, mine, theirs in zip(table.frame.to_numpy(), crossed["table"], own["table"], strict=True):
        assert row.tolist() == [mine["name"], percent(mine), points(mine), points(theirs)]
    for name, kind in (("layers 0 to k", "layers 0 to l"), ("layers k to last", "layers l to last")):
        for figure, key in ((curve.ys, "value"), (curve.low, "low"), (curve.high, "high")):
            np.testing.assert_allclose(figure[name], [100 * row[key] for row in crossed[kind]])
    assert list(curve.levels.values()) == [100 * crossed["table"][0]["value"]]
    spans = entries["spans"]
    accuracy, gaps, explained, baselines, said = stages.spans.show(spans)
    for figure, key, name in (
        (accuracy, "accuracy", "value"), (gaps, "minus random", "value"), (explained, "explained", "share")
    ):  # fmt: skip
        assert isinstance(figure, Curves) and figure.x == tuple(map(str, spans["counts"]))
        for bank, rows_ in spans[key].items():
            np.testing.assert_allclose(figure.ys[bank], [100 * row[name] for row in rows_])
    assert list(accuracy.low) == list(spans["accuracy"]) and not explained.low
    assert baselines.frame["change, points"].tolist() == [points(row) for row in spans["baselines"]]
    assert said.frame["first texts"].tolist() == ["; ".join(one["texts"]) for one in spans["said"]]
    for figure, rows_ in zip(
        stages.retrieval.show(entries["retrieval"]), entries["retrieval"]["tables"].values()
    ):
        assert figure.frame["precision, %"].tolist() == [percent(row) for row in rows_]
        assert figure.frame["chance, %"].tolist() == [f"{100 * row['chance']:.2f}" for row in rows_]


def percent(row: dict, *keys: str) -> str:
    """A share as a table shows it, written another way."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * row[k] + 0.0 for k in keys or ("value", "low", "high")))


def points(row: dict) -> str:
    """A change as a table shows it."""
    change, low, high = (round(100 * row[k], 1) + 0.0 for k in ("change", "change_low", "change_high"))
    return f"{change:+.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")


def test_ablation_is_that_of_direct_calls(given, done):
    model, store = given[0], store_of(done, given[0], "imagenet")
    directions = class_vectors(model, imagenet_classes()["class_name"].iloc[list(CLASSES)])
    truth = np.array([CLASSES.index(y) for y in store.labels["y"]])
    names = [str(y) for y in CLASSES]
    half, asked = halves(len(store), 0), kit.edits.asked(store, directions, truth, names)
    own, crossed = Means.of(store), [Means.of(store, half != h) for h in (0, 1)]
    edits = {
        "nothing": ("none", None), "all MLPs": ("L*.MLP", None), "embed": ("embed", None),
        "all MLPs and embed": ("L*.MLP, embed", None), "class token to itself": ("none", "L*.H*"),
        "all of these": ("L*.MLP, embed", "L*.H*"), "layers 0 to 0": ("L0.attn", None),
        "layers 0 to 1": ("L0-1.attn", None), "layers 0 to last": ("L0-1.attn", None),
        "layers 1 to last": ("L1.attn", None),
    }  # fmt: skip
    right = {CROSSED: {}, OWN: {}}
    for name, (parts, cls) in edits.items():
        each = [hits(asked.after(parts, means, cls), asked.truth).numpy() for means in crossed]
        right[CROSSED][name] = np.where(half == 0, *each).astype(float)
        right[OWN][name] = hits(asked.after(parts, own, cls), asked.truth).numpy().astype(float)
    tables = done[0].report["stages"]["ablation"]["result"]["tables"]
    for whose, columns in right.items():
        wanted = {row["name"]: row for row in rows(changes(columns, 0))}
        found = {row["name"]: row for kind in tables[whose].values() for row in kind}
        assert found == wanted
    values = {row["name"]: row["value"] for kind in tables[CROSSED].values() for row in kind}
    assert values["nothing"] > 0.8 and values["layers 0 to last"] < values["nothing"]  # something to see
    assert len(set(values.values())) >= 3
    assert tables[CROSSED] != tables[OWN]


def test_texts_in_place_of_heads_are_those_of_direct_calls(given, done):
    model, store = given[0], store_of(done, given[0], "imagenet")
    result = done[0].report["stages"]["spans"]["result"]
    directions = class_vectors(model, imagenet_classes()["class_name"].iloc[list(CLASSES)])
    truth = torch.tensor([CLASSES.index(y) for y in store.labels["y"]])
    half, bank = halves(len(store), 0), Bank.photographs(model).centred()
    assert result["counts"] == [1, 2, 5, 10, 16] and result["heads"] == "L-1:.H*"
    for m in result["counts"]:
        right = np.zeros(len(store))
        for h in (0, 1):
            spans = kit.textspan(store.moments(half != h, "L1.H*"), bank, m)
            found = reconstructed_cosines(store, spans, directions, half == h)
            asked = kit.edits.asked(
                store, directions, np.where(half == h, truth, -1), [*range(len(directions))]
            )
            early = asked.after("L0.H*", Means.of(store, half != h))
            found = found + early - store.cosines(directions, half == h)
            right[half == h] = hits(found, truth[half == h]).numpy()
        row = next(r for r in result["accuracy"]["photographs, centred"] if r["texts"] == str(m))
        assert row["value"] == pytest.approx(right.mean(), abs=1e-6)
    listed = kit.textspan(store.moments(selector="L1.H*"), bank, 5).table
    said = {one["part"]: one["texts"] for one in result["said"]}
    assert said == {part: list(own["text"]) for part, own in listed.groupby("part", sort=False)}
    whole = next(r for r in result["baselines"] if r["name"] == "nothing replaced")
    assert (
        whole["value"] == done[0].report["stages"]["ablation"]["result"]["tables"][OWN]["table"][0]["value"]
    )


def check_groups(result: dict, model, folder, given, means: str) -> None:
    """Every figure of the stage is that of direct calls."""
    work = Work(model, folder, {"imagenet": given[1], "waterbirds": given[2]}, SETTINGS)
    vectors = class_vectors(model, ["landbird", "waterbird"])
    texts = {"landbird": vectors[:1], "waterbird": vectors[1:]}
    reference = Means.of(work.store(means))
    answers = ask_classes(model, work.store("waterbirds test"), texts, "test", reference)
    groups = GroupBootstrap(answers.labels["group"], 0, WATERBIRDS_SIZES["train"])
    assert result["means"] == reference.name and result["before"] == rows(groups.table(answers.right()))
    averages = {"worst group", "average", "average by training shares"}
    assert {row["name"] for row in result["before"]} >= averages
    for one in result["sets"].values():
        edits = {"heads": ", ".join(one["heads"]), "all MLPs": "L*.MLP"}
        edits["attention of all layers but the last 1"] = "L0.H*"
        edits["all of these, as released"] = ", ".join(edits.values())
        assert list(one["edits"]) == list(edits)
        for name, selector in edits.items():
            assert one["edits"][name] == rows(groups.table(answers.right(selector), answers.right()))
        assert len(one["random"]["worst"]["random heads"]) == 10


def test_groups_are_those_of_direct_calls(given, done):
    check_groups(done[0].report["stages"]["cues"]["result"], given[0], done[0].folder, given, "imagenet")


def test_retrieval_is_that_of_a_direct_call(given, done):
    result = done[0].report["stages"]["retrieval"]["result"]
    store = store_of(done, given[0], "waterbirds-test")
    labels = store.labels[["class_name", "place"]].rename(columns={"class_name": "bird"})
    for how, found in result["tables"].items():
        wanted = retrieval_table(given[0], store, labels, how=how, k=result["nearest"])
        assert found == rows(wanted, "row")


def test_masks_are_those_of_a_direct_call(given, done, tmp_path):
    write_masks(tmp_path / "gtsegs_ijcv.mat")
    model, settings = given[0], Settings(candidates="present", last=1, draws=10, batch=8)
    found = sweep(model, done[0].folder.parent / "masks", given[1], None, tmp_path, settings)
    assert not found.failed, found.report["stages"]
    result = found.report["stages"]["segmentation"]["result"]
    vectors = class_vectors(model, imagenet_classes()["class_name"].iloc[list(CLASSES)])
    wanted = segment(model, kit.data.read_imagenet_segmentation(tmp_path), vectors).table()
    assert result["table"] == rows(wanted) and result["images"] == 3
    assert result["table"][0]["name"] == "token heatmap"
    bars, table = stages.segments.show(result)
    for got, key in ((bars.values, "mIoU"), (bars.low, "mIoU_low"), (bars.high, "mIoU_high")):
        np.testing.assert_allclose(got[:, 0], [100 * row[key] for row in result["table"]])
    assert table.frame["mAP, %"].tolist() == [f"{100 * row['mAP']:.2f}" for row in result["table"]]


def test_token_maps_stay_with_their_heads_where_the_last_comes_first(given, done, monkeypatch):
    def turned(*args):
        """Each head of a property of its own, and the last explained best."""
        table = textspan(*args).table
        return SimpleNamespace(table=table.assign(property=table["part"], share=np.arange(len(table)) / 9))

    monkeypatch.setattr(stages.tokens, "textspan", turned)
    result = stages.tokens.run(Work(given[0], done[0].folder, {"imagenet": given[1]}, SETTINGS))
    assert [head["part"] for head in result["heads"]] == ["L1.H1", "L1.H0"]
    check_token_maps(result, given, done)


def test_token_maps_add_up_to_what_heads_write(given, done):
    check_token_maps(done[0].report["stages"]["tokens"]["result"], given, done)


def check_token_maps(result: dict, given, done) -> None:
    """Scores and maps of each head are those of its own text."""
    model = given[0]
    bank, store = Bank.photographs(model).centred(), store_of(done, model, "imagenet")
    names = [picture["name"] for picture in result["pictures"]]
    assert len(names) == 4 and result["heads"]
    for number, head in enumerate(result["heads"]):
        vector = bank.vectors[[bank.texts.index(head["text"])]]
        wanted = store.scores(vector, [store.files.index(n) for n in names], head["part"])[:, 0, 0]
        found = torch.tensor([row[number] for row in result["scores"]])
        assert torch.allclose(found, wanted, atol=2e-6)
    shown = [figure for figure in stages.tokens.show(result) if isinstance(figure, Maps)]
    for figure, scores, picture in zip(shown, result["scores"], result["pictures"], strict=True):
        assert figure.title == picture["class"] and figure.names[1:] == tuple(
            head["part"] for head in result["heads"]
        )
        assert np.isnan(figure.values[0]).all() and figure.limit == max(f.limit for f in shown)
        assert np.abs(figure.values[1:]).max() <= figure.limit
        # the class token, which no map shows, holds the rest
        assert (figure.values[1:].sum((1, 2)) != scores).any() and figure.pictures[0].size == (32, 32)


def test_the_head_that_carries_the_cue_comes_out(given, tmp_path):
    model = planted(tmp_path, given[2])
    found = sweep(model, tmp_path / "out", waterbirds=given[2], settings=SETTINGS)
    result = found.report["stages"]["cues"]["result"]
    assert result["sets"]["chosen by effect"]["heads"] == ["L1.H0"]
    worst = {edit: table[4] for edit, table in result["sets"]["chosen by effect"]["edits"].items()}
    assert worst["heads"]["name"] == "worst group" and worst["heads"]["before"] < 0.2
    assert worst["heads"]["accuracy"] > 0.8 and worst["heads"]["change_low"] > 0
    check_groups(result, model, found.folder, given, "waterbirds val")
    before, choice, bars, table = stages.cues.show(result)
    assert bars.title == "Chosen by effect: L1.H0" in (found.folder / "report.html").read_text()
    assert isinstance(bars, Bars) and bars.labels == ("nothing replaced", *worst)
    wanted = [result["before"][4], *worst.values()]
    for got, key in ((bars.values, "accuracy"), (bars.low, "low"), (bars.high, "high")):
        np.testing.assert_allclose(got[:, 0], [100 * row[key] for row in wanted])
    drawn = sorted(result["sets"]["chosen by effect"]["random"]["worst"]["random heads"])
    assert list(bars.levels.values()) == [pytest.approx(100 * drawn[int(0.95 * (len(drawn) - 1))])]
    keys = ("accuracy", "low", "high")
    assert before.frame["accuracy, %"].tolist() == [percent(row, *keys) for row in result["before"]]
    each = [row for rows_ in result["sets"]["chosen by effect"]["edits"].values() for row in rows_]
    assert table.frame["accuracy, %"].tolist() == [percent(row, *keys) for row in each]
    assert table.frame["change, points"].tolist() == [points(row) for row in each]
    assert choice.frame["head"].tolist() == [row["part"] for row in result["choice"]["top"]]
    assert "No head was chosen" not in choice.says
    without = planted(tmp_path, given[2], carries=False)
    result = sweep(without, tmp_path / "out", waterbirds=given[2], settings=SETTINGS)
    result = result.report["stages"]["cues"]["result"]
    assert not result["sets"] and not result["choice"]["candidates"]
    assert "No head was chosen by its effect: none passes, or none helps." in stages.cues.show(result)[1].says


class Killed(BaseException):
    """What a kill does: no handler of the kit sees it."""


def killed(patch, where, name: str, after: int) -> list:
    """Let a function work so many times, and be killed then; what it was called with."""
    calls, real = [], getattr(where, name)

    def counted(*args, **kwargs):
        if len(calls) == after:
            raise Killed
        calls.append(args)
        return real(*args, **kwargs)

    patch.setattr(where, name, counted)
    return calls


def test_a_sweep_that_was_killed_goes_on_and_reports_the_same(given, done, tmp_path):
    model, imagenet, waterbirds, _ = given
    again = lambda: sweep(model, tmp_path, imagenet, waterbirds, settings=SETTINGS)  # noqa: E731
    started = model.passes["image"]
    # in the first pass, which is timed by runs that are not counted; between stages
    for where, name, after in ((store_pass, "checked_run", 2), (kit.sweep.runner, "make", 1)):
        with pytest.MonkeyPatch.context() as patch:
            killed(patch, where, name, after)
            with pytest.raises(Killed):
                again()
    assert len(list((tmp_path / "stages").glob("*.json"))) == 1 and not (tmp_path / "report.json").exists()
    texts = model.passes["text"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages.ablation, "answered", None)  # what is done is not done again
        found = again()
    assert plain(found.report) == plain(done[0].report)
    # three sets were timed once more, and two of them again: no batch passed twice
    assert model.passes["image"] - started == done[2] + 2 * 3 + 2 * 2
    assert model.passes["text"] <= texts + 1
    before = model.passes["image"]
    assert plain(again().report) == plain(found.report) and model.passes["image"] == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_changed_weights_and_changed_data_are_noticed(given, done, tmp_path):
    model, imagenet, waterbirds, _ = given
    out = tmp_path / "out"
    shutil.copytree(done[0].folder, out)
    other, said = tiny(tmp_path, imagenet, waterbirds, seed=2), []
    settings = Settings(candidates="present", last=1, draws=10, batch=8)
    new = sweep(other, out, waterbirds=waterbirds, settings=settings, say=said.append)
    assert any("The folder holds results of weights" in line for line in said)
    assert new.report["model"]["weights"] != done[0].report["model"]["weights"]
    assert new.report["stages"]["cues"]["result"] != done[0].report["stages"]["cues"]["result"]
    work = Work(model, done[0].folder, {"imagenet": imagenet}, settings)
    assert all(stages.made(stage, work) for stage in stages.STAGES if stage.uses == ("imagenet",))
    for changed in (Settings(candidates="all", last=1, draws=10), Settings("present", 20, 1, 10)):
        work = Work(model, done[0].folder, {"imagenet": imagenet}, changed)
        assert not any(stages.made(stage, work) for stage in stages.STAGES)


def test_one_stage_that_fails_does_not_lose_the_others(given, done, tmp_path, monkeypatch):
    def broken(*args):
        raise KitError("the reason of this failure.")

    monkeypatch.setattr(stages.spans, "figure", broken)
    out = tmp_path / "out"
    shutil.copytree(done[0].folder, out)
    (out / "stages" / "spans.json").unlink()
    words = Settings(candidates="present", last=1, draws=10, batch=8)
    found = sweep(given[0], out, given[1], given[2], settings=words)
    assert found.failed == ["spans"] and "the reason of this failure." in (out / "report.html").read_text()
    assert found.report["stages"]["cues"] == done[0].report["stages"]["cues"]


def test_the_estimate_of_the_disk_is_what_stores_take(given, done):
    work = Work(given[0], done[0].folder, {"imagenet": given[1], "waterbirds": given[2]}, SETTINGS)
    for name in work.sets:
        arrays = work.store(name).arrays.values()
        assert estimate.store_bytes(work, name) * len(work.sets[name]) == sum(a.nbytes for a in arrays)
    assert estimate.estimate(work).images == {} and estimate.estimate(work).texts == 0


@pytest.mark.parametrize(
    "words, says",
    [
        ([], "no data set was given, so there is nothing to measure"),
        (["--imagenet", "no/such"], 'there is no folder "no'),
        (["--waterbirds", "tests"], 'there is no metadata.csv in "tests"'),
        (["--imagenet", "tests", "--candidates", "some"], 'no candidates "some"; there are all and present.'),
        (["--imagenet", "tests", "--draws", "0"], "draws=0 is no positive number"),
        (["--imagenet", "{imagenet}", "--words", "no.txt"], 'no text file at "no.txt"'),
        (["--segmentation", "no.mat"], "no.mat"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(words, says, given, tmp_path, capsys):
    words = [word.format(imagenet=given[1]) for word in words]
    assert main(["sweep", "stickers-l8", *words, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out" / "report.json").exists()


def test_a_report_of_somebody_is_not_trusted(done, tmp_path, monkeypatch):
    good, file = json.dumps(done[0].report), tmp_path / "report.json"
    wrong = {
        "is no JSON that can be read": ("{", "}}"),
        "NaN is no number": ('"notebook": 11', '"notebook": NaN'),
        'has the schema "other", not': ('"loupe-sweep-1"', '"other"'),
        '"notebook" of the type str': ('"notebook": 11', '"notebook": "11"'),
        'has the status "odd"': ('"status": "done"', '"status": "odd"'),
        '"result" of the type list': ('"result": {', '"result": [], "other": {'),
        '"model" of the type list': ('"model": {', '"model": [], "other": {'),
    }
    for says, (old, new) in wrong.items():
        file.write_text(good.replace(old, new, 1))
        with pytest.raises(KitError) as caught:
            read_report(tmp_path)
        assert says in str(caught.value)
    file.write_text("[]")
    with pytest.raises(KitError, match='has the schema "list"'):
        read_report(tmp_path)
    monkeypatch.setenv("KIT_REPORT", str(done[0].folder))
    for stage in ("ablation", "spans", "cues", "retrieval", "tokens"):
        assert "ViT-B-16" in repr(measured(stage)) and "<table" in measured(stage)._repr_html_()
    broken = json.loads(good)
    broken["stages"]["ablation"]["result"]["tables"] = {}
    file.write_text(json.dumps(broken))
    monkeypatch.setenv("KIT_REPORT", str(tmp_path))
    with pytest.raises(KitError, match="the report lacks what the figures"):
        measured("ablation")
    monkeypatch.setenv("KIT_REPORT", "")
    assert repr(measured("cues")) == "Not measured here yet: docs/sweep.md has the command."
    assert measured("cues")._repr_html_() is None
