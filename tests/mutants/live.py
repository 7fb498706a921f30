"""Mutants of what is read from models that people bring: which tensor, size, place, head, text, file, key.

No test is named yet: each has the file where one should notice it, and none is run before it has one.
"""

from tests.mutants import Mutant

LIVE, WALK, FACTS = "kit/models/live.py", "kit/models/walk.py", "kit/models/module_facts.py"
OF_HF, PROCESSORS = "kit/models/load_transformers.py", "kit/models/processors.py"
FOLDERS, WRAPPED = "kit/models/transformers_folders.py", "kit/models/wrapped.py"
CHECKPOINT, WEIGHTS = "kit/models/checkpoint.py", "kit/models/weights.py"
LIVE_TESTS, HF_TESTS = "tests/unit/test_live.py", "tests/unit/test_live_transformers.py"
FOLDER_TESTS, WRAPPED_TESTS = "tests/unit/test_transformers_folders.py", "tests/unit/test_wrapped.py"
ROWS = "tests/unit/test_checkpoints.py"

UNJUDGED = [
    # which tensor is the representation
    Mutant(
        "a CLIP of transformers gives its image tower before the shared space",
        OF_HF,
        "return model.get_image_features(pixel_values=pixels)",
        "return model.vision_model(pixel_values=pixels)",
        (HF_TESTS,),
    ),
    Mutant(
        "the pooled output is taken though it passes an activation",
        OF_HF,
        "if isinstance(pooled, Tensor) and not bent:",
        "if isinstance(pooled, Tensor):",
        (HF_TESTS,),
    ),
    Mutant(
        "every pooled output is taken for a bent one",
        OF_HF,
        "bent = isinstance(pooled, Tensor) and _is_activation(seen.calls, pooled)",
        "bent = isinstance(pooled, Tensor)",
        (HF_TESTS,),
    ),
    Mutant(
        "a projection into the shared space is passed over",
        OF_HF,
        'if isinstance(_field(seen.out, "image_embeds"), Tensor):',
        "if False:",
        (HF_TESTS,),
    ),
    Mutant(
        "the last token stands for the class token",
        OF_HF,
        "return value[:, 0]",
        "return value[:, -1]",
        (HF_TESTS,),
    ),
    Mutant(
        "a model with a decoder is not opened down to what it decodes",
        OF_HF,
        'if _field(self.seen.out, "last_hidden_state") is None and model.base_model is not model:',
        "if False:",
        (HF_TESTS,),
    ),
    # which rows, and in which order
    Mutant(
        "rows of two classifiers whose mean counts are not halved",
        OF_HF,
        "torch.cat([row / count for row in rows], 1)",
        "torch.cat(rows, 1)",
        (HF_TESTS,),
    ),
    Mutant(
        "what two classifiers read is joined in reverse",
        OF_HF,
        "torch.cat(seen, -1)",
        "torch.cat(seen[::-1], -1)",
        (HF_TESTS,),
    ),
    Mutant(
        "names of classes are taken in the order of the file, not of their numbers",
        OF_HF,
        "self.class_names = [str(labels.get(n, n)) for n in range(len(self.class_head))]",
        "self.class_names = list(map(str, labels.values()))",
        (HF_TESTS,),
    ),
    Mutant(
        "names of classes that are given yield to the module's",
        LIVE,
        'labels = settings.get("class_names") or module.pretrained_cfg.get("label_names")',
        'labels = module.pretrained_cfg.get("label_names") or settings.get("class_names")',
        (LIVE_TESTS,),
    ),
    # which patches, at which places
    Mutant(
        "patches of a masked autoencoder come in another order",
        OF_HF,
        "return torch.arange(count, dtype=pixels.dtype, device=pixels.device).expand(",
        "return torch.arange(count, dtype=pixels.dtype, device=pixels.device).flip(0).expand(",
        (HF_TESTS,),
    ),
    Mutant(
        "a masked autoencoder stays without its mask",
        OF_HF,
        "            config.mask_ratio = ratio\n",
        "            pass\n",
        (HF_TESTS,),
    ),
    Mutant(
        "tokens before the patches are counted at the first module that reads them",
        WALK,
        "return grid, more[-1] if more else 0",
        "return grid, more[0] if more else 0",
        (HF_TESTS,),
    ),
    Mutant(
        "convolutions behind the first linear layer cut patches too",
        WALK,
        "elif isinstance(call.module, nn.Linear | nn.MultiheadAttention):",
        "elif isinstance(call.module, nn.MultiheadAttention):",
        (HF_TESTS,),
    ),
    Mutant(
        "the first convolution of several cuts the patches",
        WALK,
        "            grid = tuple(call.out.shape[2:])\n",
        "            grid = grid or tuple(call.out.shape[2:])\n",
        (LIVE_TESTS,),
    ),
    Mutant(
        "any linear layer cuts patches",
        WALK,
        "whole = 3 * side * side == call.given[2] and grid[0] * grid[1] == call.given[1]",
        "whole = 0 not in grid",
        (LIVE_TESTS,),
    ),
    Mutant(
        "a grid that is given yields to the one that is read",
        FACTS,
        '"grid": tuple(settings.get("grid", grid))',
        '"grid": tuple(grid or settings["grid"])',
        (LIVE_TESTS,),
    ),
    Mutant(
        "tokens before the patches that are given yield to those that are read",
        FACTS,
        '"prefix_tokens": settings.get("prefix_tokens", prefix)}',
        '"prefix_tokens": prefix or settings.get("prefix_tokens", 0)}',
        (LIVE_TESTS,),
    ),
    # which pictures
    Mutant(
        "height and width that a configuration names are exchanged",
        OF_HF,
        "            return tuple(size)\n",
        "            return tuple(size)[::-1]\n",
        (HF_TESTS,),
    ),
    Mutant(
        "the size that a configuration names goes before the one that the processor makes",
        OF_HF,
        'size = settings.get("image_size") or size_made(transform, name, "the processor")',
        'size = settings.get("image_size") or own or size_made(transform, name, "the processor")',
        (HF_TESTS,),
    ),
    Mutant(
        "a size that is given yields to the module's own",
        FACTS,
        'given = settings.get("image_size", own)',
        'given = own or settings.get("image_size")',
        (LIVE_TESTS,),
    ),
    Mutant(
        "a transform is tried on one size of pictures alone",
        FACTS,
        "PICTURES = ((48, 40), (40, 64))",
        "PICTURES = ((48, 40), (48, 40))",
        (LIVE_TESTS,),
    ),
    Mutant(
        "how a module of open_clip prepares its images is not asked of it",
        LIVE,
        'known = {key: value for key, value in recipe.items() if key != "size"}',
        "known = {}",
        (LIVE_TESTS,),
    ),
    Mutant(
        "pixels that were not scaled are shown as if they had been",
        PROCESSORS,
        'if said("do_rescale", False) else 255',
        'if said("do_rescale", False) else 1',
        (HF_TESTS,),
    ),
    Mutant(
        "pixels that were not normalised are shown as if they had been",
        PROCESSORS,
        'if said("do_normalize", False) else (0, 1)',
        "if True else (0, 1)",
        (HF_TESTS,),
    ),
    Mutant(
        "a size over the processor's own is still cropped",
        PROCESSORS,
        ', "do_center_crop": False}',
        "}",
        (HF_TESTS,),
    ),
    Mutant(
        "names of interpolations are exchanged",
        PROCESSORS,
        '"bilinear": 2, "bicubic": 3',
        '"bilinear": 3, "bicubic": 2',
        (HF_TESTS,),
    ),
    # which texts
    Mutant(
        "a tokenizer that is given yields to the processor's",
        OF_HF,
        'tokenizer or getattr(preprocess, "tokenizer", None)',
        'getattr(preprocess, "tokenizer", None) or tokenizer',
        (HF_TESTS,),
    ),
    Mutant(
        "texts are as long as the longest beside them",
        OF_HF,
        'padding="max_length"',
        "padding=True",
        (FOLDER_TESTS,),
    ),
    Mutant(
        "a text tower of any vocabulary gets open_clip's own tokenizer",
        LIVE,
        "if count != OPEN_CLIP_WORDS:",
        "if not count:",
        (LIVE_TESTS,),
    ),
    Mutant(
        "texts of a module are cut at another length than its own",
        LIVE,
        "SimpleTokenizer(context_length=module.context_length)",
        "SimpleTokenizer()",
        (LIVE_TESTS,),
    ),
    Mutant(
        "the text tower is a part of the image tower",
        OF_HF,
        '{call.path.partition(".")[0] for call in self.seen.calls} - {""}',
        "{path for path, _ in model.named_children()}",
        (HF_TESTS,),
    ),
    # which module, and in which state
    Mutant(
        "a part of a module in train mode is not seen",
        LIVE,
        "if any(part.training for part in module.modules()):",
        "if module.training:",
        (LIVE_TESTS,),
    ),
    Mutant(
        "a module in double precision is rounded",
        LIVE,
        "TYPES = (torch.float32, torch.float64)",
        "TYPES = (torch.float32,)",
        (LIVE_TESTS,),
    ),
    Mutant(
        "hooks of the caller run while a module is looked at",
        WALK,
        "            getattr(part, name, {}).clear()\n",
        "            pass\n",
        (LIVE_TESTS,),
    ),
    Mutant(
        "a class that comes from a wrapper is no wrapper",
        WRAPPED,
        "for kind in type(module).__mro__]",
        "for kind in [type(module)]]",
        (WRAPPED_TESTS,),
    ),
    Mutant(
        "fused attention is recorded",
        OF_HF,
        'WRITTEN_OUT = (None, "eager", "sdpa")',
        'WRITTEN_OUT = (None, "eager", "sdpa", "flash_attention_2")',
        (HF_TESTS,),
    ),
    # which class and file of a folder
    Mutant(
        "a folder is read by the base of its class",
        FOLDERS,
        "kind = kind or transformers.AutoModel._model_mapping[type(configuration)]",
        "kind = transformers.AutoModel._model_mapping[type(configuration)]",
        (FOLDER_TESTS,),
    ),
    Mutant(
        "of two weights files the pickled one is read",
        FOLDERS,
        "found = next((name for name in FILES if name in there), None)",
        "found = next((name for name in FILES[::-1] if name in there), None)",
        (FOLDER_TESTS,),
    ),
    Mutant(
        "settings and weights of two revisions are taken together",
        FOLDERS,
        "if settings and weights and Path(settings).parent == Path(weights).parent:",
        "if settings and weights:",
        (FOLDER_TESTS,),
    ),
    Mutant(
        "tensors of another shape stay as they were drawn",
        FOLDERS,
        'if other or info["error_msgs"]:',
        'if info["error_msgs"]:',
        (FOLDER_TESTS,),
    ),
    Mutant(
        "a pooler that is the representation may be missing",
        FOLDERS,
        'past = isinstance(read, Output) and read.field == "last_hidden_state"',
        "past = isinstance(read, Output)",
        (FOLDER_TESTS,),
    ),
    Mutant(
        "weights of the text tower may be missing",
        FOLDERS,
        "for v in model.library_model.state_dict(keep_vars=True).values() if model.has_text}",
        "for v in model.library_model.state_dict(keep_vars=True).values() if False}",
        (FOLDER_TESTS,),
    ),
    # which place in a file
    Mutant(
        "a key of which one component fits is followed",
        CHECKPOINT,
        "return all(part in rest for part in",
        "return any(part in rest for part in",
        (ROWS,),
    ),
    Mutant(
        "a key is not followed where the layout is another",
        WEIGHTS,
        "if n >= count and chosen(prefix, key)]",
        "if n >= count]",
        (ROWS,),
    ),
    Mutant(
        "of a whole model the image tower alone is taken",
        WEIGHTS,
        'return prefix.removesuffix(tower) if f".{prefix}".endswith(f".{tower}") else prefix',
        "return prefix",
        (ROWS,),
    ),
    Mutant(
        "plain names go before those of the image tower",
        WEIGHTS,
        "found = [(state.get(tower + name, state.get(name)), shape) for name, shape in wanted.items()]",
        "found = [(state.get(name, state.get(tower + name)), shape) for name, shape in wanted.items()]",
        (ROWS,),
    ),
    Mutant(
        "the innermost of several places is converted first",
        WEIGHTS,
        'return sorted(many, key=lambda prefix: prefix.count("."))',
        'return sorted(many, key=lambda prefix: -prefix.count("."))',
        (ROWS,),
    ),
]
