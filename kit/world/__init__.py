"""The synthetic world of stickers: scenes drawn from a seed, with complete ground truth."""

from kit.world.attributes import attributes
from kit.world.captions import captions_for, truth, words
from kit.world.elsewhere import elsewhere
from kit.world.gallery import gallery
from kit.world.pairs import Pairs, pairs
from kit.world.phrases import order_texts, prompts
from kit.world.printed import print_word, with_words, word_boxes
from kit.world.scenes import Scenes, draw
from kit.world.values import VALUES, VERSION
