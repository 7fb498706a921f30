"""Mutants of how weights are found in the files of trainers: kit/models."""

from tests.mutants import Mutant

CHECKPOINT, WEIGHTS, FILE = "kit/models/checkpoint.py", "kit/models/weights.py", "kit/models/weights_file.py"
LAYOUTS, WRAPPED, CLIP = "kit/models/timm_layouts.py", "kit/models/wrapped.py", "kit/models/load_open_clip.py"
ROW = "tests/unit/test_checkpoints.py::test_a_checkpoint_is_right_or_refused"
TAKEN = "tests/unit/test_wrapped.py"

MUTANTS = [
    Mutant(
        "a key is not followed",
        WEIGHTS,
        "places(checkpoint, wanted).most_common() if chosen(prefix, key)}",
        "places(checkpoint, wanted).most_common()}",
        (f"{ROW}[DINO, its teacher]",),
    ),
    Mutant(
        "a key that equals a place is no better than one that is part of another",
        CHECKPOINT,
        "found = exact or found",
        "found = found",
        (f"{ROW}[plain names beside a dict of averages]",),
    ),
    Mutant(
        "what a file holds beside the weights is not said",
        CHECKPOINT,
        'also = f"; it also holds {\', \'.join(map(_quoted, rest[:6]))}" if rest else ""',
        'also = ""',
        (f"{ROW}[backbone.]",),
    ),
    Mutant(
        "tensors of an optimizer count as weights",
        CHECKPOINT,
        "            found = flat\n",
        "            pass\n",
        (f"{ROW}[plain names beside an optimizer]",),
    ),
    Mutant(
        "sets of weights that are equal are two",
        CHECKPOINT,
        "torch.equal(_bits(value), _bits(other[name]))",
        "value is other[name]",
        (f"{ROW}[averaged weights that are equal to the plain ones]",),
    ),
    Mutant(
        "adapters that are not merged are left out in silence",
        CHECKPOINT,
        "    if adapted:\n",
        "    if False:\n",
        (f"{ROW}[PEFT, not merged]",),
    ),
    Mutant(
        "names that two tensors have go to the last",
        CHECKPOINT,
        "        if plain in tensors:\n",
        "        if False:\n",
        (f"{ROW}[two tensors of one name]",),
    ),
    Mutant(
        "a dict that lies in two places is looked at in one",
        CHECKPOINT,
        "PLACES = 4",
        "PLACES = 1",
        (f"{ROW}[one dict in two places]",),
    ),
    Mutant(
        "shapes do not matter where weights are looked for",
        WEIGHTS,
        "not value.is_nested and value.shape == shape for value",
        "True for value",
        (f"{ROW}[student and teacher of other widths: one fits]",),
    ),
    Mutant(
        "positions of another size are cut instead of resized",
        LAYOUTS,
        "        return made, _said(state, made, resized, file)\n",
        "        made = {n: state[n][:, : v.shape[1]] if n in resized else v for n, v in made.items()}\n"
        "        return made, _said(state, made, resized, file)\n",
        (f"{ROW}[another image size, not square]", f"{ROW}[MAE, at another size]"),
    ),
    Mutant(
        "a patch embedding of another size is resampled",
        LAYOUTS,
        'if any(made[n].numel() != state[n].numel() and "pos" not in n for n in resized):',
        "if False:",
        (f"{ROW}[another size of patches]",),
    ),
    Mutant(
        "a classifier is left out as a head that is none",
        LAYOUTS,
        'if f"{name}.weight" not in state',
        "if True",
        (f"{ROW}[a head of 3 classes under a prefix]",),
    ),
    Mutant(
        "tokens of registers are left out",
        LAYOUTS,
        'TRAINING = ("mask_token", "decoder")',
        'TRAINING = ("mask_token", "decoder", "register", "blocks")',
        (f"{ROW}[registers for a model without them]",),
    ),
    Mutant(
        "positions of open_clip are resized and not said",
        CLIP,
        'return state, [*notes, f"{said}for its tags."]',
        "return state, notes",
        (f"{ROW}[CLIP at another size]",),
    ),
    Mutant(
        "a part of a cut file that is missing is not missed",
        FILE,
        "    if missing:\n",
        "    if False:\n",
        (f"{ROW}[a folder of the hub, one part of three missing]",),
    ),
    Mutant(
        "a call is read as a stand-in",
        "kit/models/stand_ins.py",
        '"builtins": "Ellipsis bool',
        '"builtins": "eval getattr Ellipsis bool',
        (f"{ROW}[eval]",),
    ),
    Mutant(
        "prompts of PEFT are lost",
        WRAPPED,
        'if not hasattr(base, "peft_config"):',
        "if False:",
        (f"{TAKEN}::test_what_cannot_be_undone_is_named",),
    ),
    Mutant(
        "one wrapper alone is taken off",
        WRAPPED,
        "        passed.append(name)\n",
        "        passed.append(name)\n        break\n",
        (f"{TAKEN}::test_one_wrapper_in_another",),
    ),
]
