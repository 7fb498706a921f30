"""Mutants of what is shown and of what chooses: panels, their figures and sentences, reports, controls."""

from tests.mutants import Mutant

CHANGES = [
    (
        "ticks of bars stand at the bars themselves, not at every part on",
        "panels/explorer.py",
        '{"every part on": found.marks}',
        '{"every part on": found.bars[:, 0]}',
    ),
    (
        "with other prompts the last one is looked at",
        "panels/explorer.py",
        'max(0, min(self.selection.text, len(fields["texts"]) - 1))',
        'max(0, len(fields["texts"]) - 1)',
    ),
    (
        "notebook 00's map lies over the picture as it was given",
        "panels/explorer.py",
        "[found.heat], [self.cases.seen(s).image],",
        "[found.heat], [picture.image],",
    ),
    (
        "the title of bars says the other replacement",
        "panels/explorer.py",
        '{"mean": "its mean is put in", "zero": "zero is put in"}',
        '{"zero": "its mean is put in", "mean": "zero is put in"}',
    ),
    (
        "random weights are told of the first model",
        "panels/explorer.py",
        "CHANCE * (not model.trained)",
        "CHANCE * (not self.model.trained)",
    ),
    (
        "a fifth pin is not shown, and the latest come last",
        "panels/explorer.py",
        "[pin, *self._pins][:PINS]",
        "[*self._pins, pin][:PINS]",
    ),
    (
        "one selected part that is off already puts all selected on",
        "panels/explorer.py",
        "off - picked if picked <= off else",
        "off - picked if picked & off else",
    ),
    (
        "the map for a head's own text takes the other direction",
        "panels/head_tokens.py",
        '[1 if s.directions == "raw" else 2]',
        '[2 if s.directions == "raw" else 1]',
    ),
    (
        "the difference of two heads' attention is drawn as a share",
        "panels/head_tokens.py",
        "*[True] * len(apart))",
        "*[not share] * len(apart))",
    ),
    (
        "the second head's attention has the first one's colours",
        "panels/head_tokens.py",
        'shared_limit(*maps) if s.shows != "prompt"',
        'shared_limit(maps[0]) if s.shows != "prompt"',
    ),
    (
        "the held head is marked among the readers",
        "panels/head_tokens.py",
        '[f"{prompt} · {heads[0]}"]',
        '[f"{prompt} · {heads[-1]}"]',
    ),
    (
        "tokens of the tower before stay picked",
        "panels/any_model.py",
        '{**fields, "selector": "none", "tokens": ""}',
        '{**fields, "selector": "none"}',
    ),
    (
        "scores of the direction before are kept",
        "panels/any_model.py",
        "scores = self.kept((s.model, s.image, s.texts),",
        "scores = self.kept((s.model, s.image),",
    ),
    (
        "the title of a saved picture names the first model",
        "panels/declared.py",
        '" · ".join(filter(None, [self.label, self.shown.about]))',
        '" · ".join(filter(None, [self.model.label, self.shown.about]))',
    ),
    (
        "truth and note change places",
        "panels/declared.py",
        "self.said.text = shown.truth, shown.note, shown.caption",
        "self.said.text = shown.note, shown.truth, shown.caption",
    ),
    (
        "a number that cannot be is told an end that cannot be",
        "panels/fields.py",
        "give a whole number from {self.low} to {self.high}.",
        "give a whole number from {self.low} to {self.high + 1}.",
    ),
    (
        "ticks of the state before stay beside the bars",
        "panels/views.py",
        "bars.limit, bars.marks = figure.limits[1], marks",
        "bars.limit, bars.marks = figure.limits[1], marks if len(marks) else bars.marks",
    ),
    (
        "without the selection, what is off is on again",
        "panels/findings.py",
        "total(sorted({*off, *picked}))",
        "total(sorted(picked))",
    ),
    (
        "the second of two prompts is held against itself",
        "panels/words.py",
        "minus ‘{state.texts[1 - state.text]}’",
        "minus ‘{state.texts[1]}’",
    ),
    (
        "the total effect of a mean is kept for zero",
        "panels/encoded.py",
        "return state.model, state.image, state.replace, tuple(rows)",
        "return state.model, state.image, tuple(rows)",
    ),
    (
        "a saved table has the bars without and only exchanged",
        "panels/saving.py",
        '("whole", "without it", "only it")',
        '("whole", "only it", "without it")',
    ),
    (
        "the last frame's sentence leaves out what comes after the layers",
        "maps/reading.py",
        "heads + rest + (self.after if last else 0.0)",
        "heads + rest + (0.0 if last else self.after)",
    ),
    (
        "registers are counted from one",
        "maps/reading.py",
        'f"register {number - 1}"',
        'f"register {number}"',
    ),
    (
        "the strongest reader has its number for the chosen prompt",
        "maps/reading.py",
        "{signed(self.reads[any_text, column], 4)}",
        "{signed(self.reads[text, column], 4)}",
    ),
    (
        "the best method has the IoU of the chosen one",
        "maps/classes.py",
        "{self.methods[best]}, {self.ious[best]:.2f}",
        "{self.methods[best]}, {self.ious[n]:.2f}",
    ),
    (
        "costs along the layers are those of the layer before",
        "edits/costs.py",
        "np.stack(list(each.values())[1:], 1)",
        "np.stack(list(each.values())[:-1], 1)",
    ),
    (
        "names that are as accurate as the true ones do not count",
        "edits/controls.py",
        "(renamed >= true)",
        "(renamed > true)",
    ),
    (
        "the report's means of the very images are those of the other half",
        "sweep/ablation.py",
        'f"own {key}": same[key]',
        'f"own {key}": row[key]',
    ),
    (
        "maps of the report belong to other heads",
        "sweep/tokens.py",
        "[:, order, :, range(len(order))]",
        "[:, range(len(order)), :, range(len(order))]",
    ),
    (
        "a head that takes away is shown by what it adds",
        "projections/head_maps.py",
        "* (1 if adds[k] > 0 else -1)",
        "* (1 if adds[k] > 0 else 1)",
    ),
]

MUTANTS: list[Mutant] = []

UNRUN = [Mutant(name, f"kit/{file}", old, new, ()) for name, file, old, new in CHANGES]
