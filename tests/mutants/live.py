"""Mutants of what is read from models that people bring: which tensor, size, place, head, text, file, key."""

from tests.mutants import Mutant

LIVE, WALK, FACTS = "kit/models/live.py", "kit/models/walk.py", "kit/models/module_facts.py"
OF_HF, PROCESSORS = "kit/models/load_transformers.py", "kit/models/processors.py"
FOLDERS, WRAPPED = "kit/models/transformers_folders.py", "kit/models/wrapped.py"
CHECKPOINT, WEIGHTS = "kit/models/checkpoint.py", "kit/models/weights.py"
LIVE_TESTS, HF_TESTS = "tests/unit/test_live.py", "tests/unit/test_live_transformers.py"
FOLDER_TESTS, WRAPPED_TESTS = "tests/unit/test_transformers_folders.py", "tests/unit/test_wrapped.py"
ROW = "tests/unit/test_checkpoints.py::test_a_checkpoint_is_right_or_refused"
OWN = f"{HF_TESTS}::test_the_representation_is_the_librarys_own_and_the_module_stays_as_it_was"

MUTANTS = [
    # which tensor is the representation
    Mutant(
        "a CLIP of transformers gives its image tower before the shared space",
        OF_HF,
        "return model.get_image_features(pixel_values=pixels)",
        "return model.vision_model(pixel_values=pixels)",
        (f"{OWN}[CLIPModel]",),
    ),
    Mutant(
        "the pooled output is taken though it passes an activation",
        OF_HF,
        "if isinstance(pooled, Tensor) and not bent:",
        "if isinstance(pooled, Tensor):",
        (f"{OWN}[ViTModel]",),
    ),
    Mutant(
        "every pooled output is taken for a bent one",
        OF_HF,
        "bent = isinstance(pooled, Tensor) and _is_activation(seen.calls, pooled)",
        "bent = isinstance(pooled, Tensor)",
        (f"{OWN}[CLIPVisionModel]",),
    ),
    Mutant(
        "a projection into the shared space is passed over",
        OF_HF,
        'if isinstance(_field(seen.out, "image_embeds"), Tensor):',
        "if False:",
        (f"{OWN}[CLIPVisionModelWithProjection]",),
    ),
    Mutant(
        "the last token stands for the class token",
        OF_HF,
        "return value[:, 0]",
        "return value[:, -1]",
        (f"{OWN}[ViT without a pooler]",),
    ),
    Mutant(
        "a model with a decoder is not opened down to what it decodes",
        OF_HF,
        'if _field(self.seen.out, "last_hidden_state") is None and model.base_model is not model:',
        "if False:",
        (f"{OWN}[ViTMAEForPreTraining]",),
    ),
    # which rows, and in which order
    Mutant(
        "rows of two classifiers whose mean counts are not halved",
        OF_HF,
        "torch.cat([row / count for row in rows], 1)",
        "torch.cat(rows, 1)",
        (
            f"{HF_TESTS}::test_rows_of_a_classifier_are_directions_of_its_input[DeiTForImageClassificationWithTeacher]",
        ),
    ),
    Mutant(
        "what two classifiers read is joined in reverse",
        OF_HF,
        "torch.cat(seen, -1)",
        "torch.cat(seen[::-1], -1)",
        (
            f"{HF_TESTS}::test_rows_of_a_classifier_are_directions_of_its_input[DeiTForImageClassificationWithTeacher]",
        ),
    ),
    Mutant(
        "names of classes are taken in the order of the file, not of their numbers",
        OF_HF,
        "self.class_names = [str(labels.get(n, n)) for n in range(len(self.class_head))]",
        "self.class_names = list(map(str, labels.values()))",
        (f"{HF_TESTS}::test_rows_of_a_classifier_are_directions_of_its_input[BeitForImageClassification]",),
    ),
    Mutant(
        "names of classes that are given yield to the module's",
        LIVE,
        'labels = settings.get("class_names") or module.pretrained_cfg.get("label_names")',
        'labels = module.pretrained_cfg.get("label_names") or settings.get("class_names")',
        (f"{LIVE_TESTS}::test_what_is_given_stands_over_what_is_read",),
    ),
    # which patches, at which places
    Mutant(
        "patches of a masked autoencoder come in another order",
        OF_HF,
        "return torch.arange(count, dtype=pixels.dtype, device=pixels.device).expand(",
        "return torch.arange(count, dtype=pixels.dtype, device=pixels.device).flip(0).expand(",
        (f"{HF_TESTS}::test_the_masked_autoencoder_keeps_its_patches_where_they_are",),
    ),
    Mutant(
        "a masked autoencoder stays without its mask",
        OF_HF,
        "            config.mask_ratio = ratio\n",
        "            pass\n",
        (f"{OWN}[ViTMAEModel]",),
    ),
    Mutant(
        "tokens before the patches are counted at the first module that reads them",
        WALK,
        "return grid, more[-1] if more else 0",
        "return grid, more[0] if more else 0",
        (f"{LIVE_TESTS}::test_a_module_of_ones_own_shows_where_its_patches_lie",),
    ),
    Mutant(
        "convolutions behind the first linear layer cut patches too",
        WALK,
        "elif isinstance(call.module, nn.Linear | nn.MultiheadAttention):",
        "elif isinstance(call.module, nn.MultiheadAttention):",
        (f"{LIVE_TESTS}::test_patches_are_what_the_last_convolution_before_a_linear_layer_cuts",),
    ),
    Mutant(
        "the first convolution of several cuts the patches",
        WALK,
        "            grid = tuple(call.out.shape[2:])\n",
        "            grid = grid or tuple(call.out.shape[2:])\n",
        (f"{LIVE_TESTS}::test_patches_are_what_the_last_convolution_before_a_linear_layer_cuts",),
    ),
    Mutant(
        "any linear layer cuts patches",
        WALK,
        "whole = 3 * side * side == call.given[2] and grid[0] * grid[1] == call.given[1]",
        "whole = 0 not in grid",
        (f"{LIVE_TESTS}::test_patches_are_what_the_last_convolution_before_a_linear_layer_cuts",),
    ),
    Mutant(
        "a grid that is given yields to the one that is read",
        FACTS,
        '"grid": tuple(settings.get("grid", grid))',
        '"grid": tuple(grid or settings["grid"])',
        (f"{LIVE_TESTS}::test_what_is_given_stands_over_what_is_read",),
    ),
    Mutant(
        "tokens before the patches that are given yield to those that are read",
        FACTS,
        '"prefix_tokens": settings.get("prefix_tokens", prefix)}',
        '"prefix_tokens": prefix or settings.get("prefix_tokens", 0)}',
        (f"{LIVE_TESTS}::test_what_is_given_stands_over_what_is_read",),
    ),
    # which pictures
    Mutant(
        "height and width that a configuration names are exchanged",
        OF_HF,
        "            return tuple(size)\n",
        "            return tuple(size)[::-1]\n",
        (f"{HF_TESTS}::test_grid_and_prefix_tokens_are_read_from_one_forward",),
    ),
    Mutant(
        "the size that a configuration names goes before the one that the processor makes",
        OF_HF,
        'size = settings.get("image_size") or size_made(transform, name, "the processor")',
        'size = settings.get("image_size") or own or size_made(transform, name, "the processor")',
        (f"{FOLDER_TESTS}::test_the_size_of_pictures_is_that_of_the_processor_where_the_model_takes_it",),
    ),
    Mutant(
        "a size that is given yields to the module's own",
        FACTS,
        'given = settings.get("image_size", own)',
        'given = own or settings.get("image_size")',
        (f"{HF_TESTS}::test_a_transform_or_settings_of_the_callers_stand_where_no_processor_lies",),
    ),
    Mutant(
        "a transform is tried on one size of pictures alone",
        FACTS,
        "PICTURES = ((48, 40), (40, 64))",
        "PICTURES = ((48, 40), (48, 40))",
        (f"{LIVE_TESTS}::test_what_a_module_does_not_say_is_asked_for_where_it_is_needed",),
    ),
    Mutant(
        "how a module of open_clip prepares its images is not asked of it",
        LIVE,
        'known = {key: value for key, value in recipe.items() if key != "size"}',
        "known = {}",
        (f"{LIVE_TESTS}::test_settings_of_pictures_that_open_clip_writes_into_its_module_are_followed",),
    ),
    Mutant(
        "pixels that were not scaled are shown as if they had been",
        PROCESSORS,
        'if said("do_rescale", False) else 255',
        'if said("do_rescale", False) else 1',
        (f"{FOLDER_TESTS}::test_what_was_seen_is_the_picture_whatever_the_processor_leaves_out[do_rescale]",),
    ),
    Mutant(
        "pixels that were not normalised are shown as if they had been",
        PROCESSORS,
        'if said("do_normalize", False) else (0, 1)',
        "if True else (0, 1)",
        (
            f"{FOLDER_TESTS}::test_what_was_seen_is_the_picture_whatever_the_processor_leaves_out[do_normalize]",
        ),
    ),
    Mutant(
        "a size over the processor's own is still cropped",
        PROCESSORS,
        ', "do_center_crop": False}',
        "}",
        (f"{FOLDER_TESTS}::test_a_size_over_the_processors_own_takes_the_whole_picture",),
    ),
    Mutant(
        "names of interpolations are exchanged",
        PROCESSORS,
        '"bilinear": 2, "bicubic": 3',
        '"bilinear": 3, "bicubic": 2',
        (f"{FOLDER_TESTS}::test_interpolations_are_those_of_pillow[2-bilinear]",),
    ),
    # which texts
    Mutant(
        "a tokenizer that is given yields to the processor's",
        OF_HF,
        'tokenizer or getattr(preprocess, "tokenizer", None)',
        'getattr(preprocess, "tokenizer", None) or tokenizer',
        (f"{FOLDER_TESTS}::test_a_tokenizer_that_is_given_stands_over_the_processors",),
    ),
    Mutant(
        "texts are as long as the longest beside them",
        OF_HF,
        'padding="max_length"',
        "padding=True",
        (f"{FOLDER_TESTS}::test_a_siglip_reads_texts_padded_as_in_training",),
    ),
    Mutant(
        "a text tower of any vocabulary gets open_clip's own tokenizer",
        LIVE,
        "if count != OPEN_CLIP_WORDS:",
        "if not count:",
        (f"{LIVE_TESTS}::test_a_tokenizer_is_asked_for_where_the_vocabulary_is_not_open_clips",),
    ),
    Mutant(
        "the text tower is a part of the image tower",
        OF_HF,
        '{call.path.partition(".")[0] for call in self.seen.calls} - {""}',
        "{path for path, _ in model.named_children()}",
        (f"{HF_TESTS}::test_the_text_tower_is_no_part_of_the_image_tower",),
    ),
    # which module, and in which state
    Mutant(
        "a part of a module in train mode is not seen",
        LIVE,
        "if any(part.training for part in module.modules()):",
        "if module.training:",
        (f"{LIVE_TESTS}::test_train_mode_is_a_sentence_and_no_switch",),
    ),
    Mutant(
        "a module in double precision is rounded",
        LIVE,
        "TYPES = (torch.float32, torch.float64)",
        "TYPES = (torch.float32,)",
        (f"{LIVE_TESTS}::test_double_precision_is_taken_as_it_is",),
    ),
    Mutant(
        "hooks of the caller run while a module is looked at",
        WALK,
        "            getattr(part, name, {}).clear()\n",
        "            pass\n",
        (f"{LIVE_TESTS}::test_hooks_of_the_caller_are_not_called_by_loading",),
    ),
    Mutant(
        "a class that comes from a wrapper is no wrapper",
        WRAPPED,
        "for kind in type(module).__mro__]",
        "for kind in [type(module)]]",
        (f"{WRAPPED_TESTS}::test_a_class_of_ones_own_that_comes_from_a_wrapper_is_one",),
    ),
    Mutant(
        "fused attention is recorded",
        OF_HF,
        'WRITTEN_OUT = (None, "eager", "sdpa")',
        'WRITTEN_OUT = (None, "eager", "sdpa", "flash_attention_2")',
        (f"{HF_TESTS}::test_fused_kernels_are_refused_by_name[flash_attention_2]",),
    ),
    # which class and file of a folder
    Mutant(
        "a folder is read by the base of its class",
        FOLDERS,
        "kind = kind or transformers.AutoModel._model_mapping[type(configuration)]",
        "kind = transformers.AutoModel._model_mapping[type(configuration)]",
        (f"{FOLDER_TESTS}::test_a_folder_gives_the_model_its_classes_and_its_pictures",),
    ),
    Mutant(
        "of two weights files the pickled one is read",
        FOLDERS,
        "found = next((name for name in FILES if name in there), None)",
        "found = next((name for name in FILES[::-1] if name in there), None)",
        (f"{FOLDER_TESTS}::test_a_bin_file_is_read_without_running_code",),
    ),
    Mutant(
        "settings and weights of two revisions are taken together",
        FOLDERS,
        "if settings and weights and Path(settings).parent == Path(weights).parent:",
        "if settings and weights:",
        (f"{FOLDER_TESTS}::test_settings_and_weights_of_two_revisions_are_not_taken_together",),
    ),
    Mutant(
        "tensors of another shape stay as they were drawn",
        FOLDERS,
        'if other or info["error_msgs"]:',
        'if info["error_msgs"]:',
        (f"{FOLDER_TESTS}::test_what_is_amiss_is_said[other shapes]",),
    ),
    Mutant(
        "a pooler that is the representation may be missing",
        FOLDERS,
        'past = isinstance(read, Output) and read.field == "last_hidden_state"',
        "past = isinstance(read, Output)",
        (
            f"{FOLDER_TESTS}::test_weights_on_which_the_representation_or_the_texts_rest_may_not_be_missing[<lambda>-pooler.layernorm.weight]",
        ),
    ),
    Mutant(
        "weights of the text tower may be missing",
        FOLDERS,
        "for v in model.library_model.state_dict(keep_vars=True).values() if model.has_text}",
        "for v in model.library_model.state_dict(keep_vars=True).values() if False}",
        (
            f"{FOLDER_TESTS}::test_weights_on_which_the_representation_or_the_texts_rest_may_not_be_missing[dual-text_model.final_layer_norm.bias]",
        ),
    ),
    # which place in a file
    Mutant(
        "a key of which one component fits is followed",
        CHECKPOINT,
        "return all(part in rest for part in",
        "return any(part in rest for part in",
        (f"{ROW}[two encoders, one by the end of its path]",),
    ),
    Mutant(
        "a key is not followed where the layout is another",
        WEIGHTS,
        "if n >= count and chosen(prefix, key)]",
        "if n >= count]",
        (f"{ROW}[two CLIPs of transformers, one by key]",),
    ),
    Mutant(
        "of a whole model the image tower alone is taken",
        WEIGHTS,
        'return prefix.removesuffix(tower) if f".{prefix}".endswith(f".{tower}") else prefix',
        "return prefix",
        (f"{ROW}[open_clip's trainer]",),
    ),
    Mutant(
        "plain names go before those of the image tower",
        WEIGHTS,
        "found = [(state.get(tower + name, state.get(name)), shape) for name, shape in wanted.items()]",
        "found = [(state.get(name, state.get(tower + name)), shape) for name, shape in wanted.items()]",
        (f"{ROW}[CLIP at another size]",),
    ),
]
