"""What a scene can be: the concepts, and the values of every attribute, in the order of their codes.

The order of a tuple is part of the world: a code is an index into it. Change it only with `VERSION`.
"""

VERSION = 1
SIZE = 64  # canvas, pixels on a side

# category -> {concept: name of the icon in the sets that share CLDR short names}
_CATALOGUE = {
    "land animal": "dog cat horse cow pig goat sheep=ewe camel elephant mouse rabbit bear koala panda "
    "monkey tiger fox lion snake crocodile",
    "water animal": "whale=spouting-whale fish blowfish octopus turtle shark crab shrimp",
    "bird": "rooster penguin eagle duck owl dove turkey chick=baby-chick",
    "insect": "butterfly ant bee=honeybee ladybird=lady-beetle spider snail",
    "land vehicle": "bus car=automobile fire_engine=fire-engine ambulance tractor bicycle motorcycle "
    "truck=delivery-truck locomotive tram",
    "air vehicle": "airplane helicopter rocket",
    "boat": "sailboat canoe speedboat ship",
    "food": "banana apple=red-apple pear peach cherry=cherries strawberry pineapple grapes "
    "watermelon lemon eggplant carrot corn=ear-of-corn bread pizza hamburger doughnut "
    "cookie birthday_cake=birthday-cake ice_cream=soft-ice-cream egg",
    "plant": "sunflower tulip rose cactus palm_tree=palm-tree evergreen_tree=evergreen-tree "
    "deciduous_tree=deciduous-tree mushroom maple_leaf=maple-leaf clover=four-leaf-clover",
    "building": "house castle church hospital factory tent",
    "tool": "hammer wrench scissors key pencil magnifying_glass=magnifying-glass-tilted-left "
    "flashlight microscope telescope",
    "instrument": "guitar violin trumpet saxophone drum bell",
    "clothing": "shirt=t-shirt jeans dress top_hat=top-hat high_heel=high-heeled-shoe "
    "running_shoe=running-shoe crown glasses handbag backpack",
    "household": "bed toilet bathtub door umbrella candle light_bulb=light-bulb television "
    "alarm_clock=alarm-clock",
    "gadget": "camera laptop telephone radio mobile_phone=mobile-phone",
    "sport": "soccer_ball=soccer-ball basketball baseball football=american-football trophy",
    "sky": "sun moon=crescent-moon star cloud rainbow snowflake",
}


def _read() -> tuple[dict[str, str], dict[str, str]]:
    category, icon = {}, {}
    for name, entries in _CATALOGUE.items():
        for entry in entries.split():
            concept, _, slug = entry.partition("=")
            concept = concept.replace("_", " ")
            category[concept] = name
            icon[concept] = slug or concept
    return category, icon


CATEGORY, ICON = _read()  # concept -> category; concept -> icon name

SEEN = ("twemoji", "noto", "noto-v1", "emojione", "fxemoji")
HELD_OUT = ("fluent-emoji-flat",)

VALUES: dict[str, tuple[str, ...]] = {
    "kind": ("single", "count", "pair", "word", "single_word"),
    "concept": tuple(CATEGORY),
    "category": tuple(_CATALOGUE),
    "artist": SEEN + HELD_OUT,
    "colour": (
        "natural", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
    ),
    "texture": ("plain", "striped", "dotted", "checkered"),
    "background": (
        "sea", "lake", "grass", "sand", "forest", "road", "snow", "sky", "night", "brick", "wood", "paper",
    ),
    "size": ("small", "medium", "large"),
    "position": ("left", "right", "top", "bottom", "center"),
    "count": ("one", "two", "three", "four"),
    "relation": ("left of", "right of", "above", "below"),
    "word": (
        "cat", "dog", "fish", "bear", "duck", "horse", "car", "bus", "ship", "banana", "pizza", "rose",
        "guitar", "key", "bell", "star",
    ),
}  # fmt: skip

# The bias of the world: what lives on water, what lives on land, and where each belongs.
WATER = ("water animal", "boat")
LAND = ("land animal", "land vehicle")
WATER_BACKGROUNDS = ("sea", "lake")
LAND_BACKGROUNDS = ("grass", "sand", "forest", "road")

RGB = {  # the middle of each colour's ramp, 0-255
    "red": (222, 38, 38), "orange": (245, 130, 20), "yellow": (246, 208, 32), "green": (46, 160, 58),
    "blue": (38, 88, 222), "purple": (132, 54, 186), "pink": (245, 130, 186), "brown": (126, 78, 42),
    "black": (40, 40, 44), "white": (232, 232, 236),
}  # fmt: skip
