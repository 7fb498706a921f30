"""Names of the concepts in the icon set fxemoji, which has a naming of its own; mapped by hand."""

_SAME = (
    "cow goat sheep camel elephant bear koala monkey snake crocodile fish blowfish octopus turtle "
    "rooster penguin ant spider snail bus ambulance tractor bicycle motorcycle tram airplane helicopter "
    "rocket sailboat speedboat ship banana pear peach strawberry pineapple grapes watermelon lemon "
    "bread hamburger doughnut cookie sunflower tulip rose cactus mushroom church hospital factory tent "
    "hammer wrench key pencil microscope telescope guitar violin trumpet saxophone bell jeans dress "
    "crown glasses handbag toilet bathtub door umbrella candle television camera radio baseball trophy "
    "cloud rainbow snowflake horse"
)
ICON_FXEMOJI = {name: name for name in _SAME.split()} | {
    "cat": "catside",
    "dog": "dogside",
    "pig": "pigside",
    "mouse": "mouseside",
    "tiger": "tigerside",
    "rabbit": "bunnyside",
    "camel": "dromedarycamel",
    "panda": "pandaface",
    "whale": "spurtingwhale",
    "dove": "doveofpeace",
    "chick": "babychick",
    "bee": "honeybee",
    "ladybird": "ladybeetle",
    "car": "automobile",
    "fire engine": "fireengine",
    "truck": "deliverytruck",
    "locomotive": "steamlocomotive",
    "canoe": "rowboat",
    "apple": "redapple",
    "cherry": "cherries",
    "eggplant": "aubergine",
    "corn": "earofmaize",
    "pizza": "sliceofpizza",
    "birthday cake": "birthdaycake",
    "ice cream": "softicecream",
    "palm tree": "palmtree",
    "evergreen tree": "evergreen",
    "deciduous tree": "deciduoustree",
    "maple leaf": "mapleleaf",
    "clover": "fourleafclover",
    "house": "housebuilding",
    "castle": "europeancastle",
    "scissors": "blackscissors",
    "magnifying glass": "leftmagnifyingglass",
    "flashlight": "electrictorch",
    "shirt": "mansshirt",
    "top hat": "tophat",
    "high heel": "heels",
    "running shoe": "mensrunner",
    "backpack": "schoolsatchel",
    "light bulb": "lightbulb",
    "alarm clock": "alarmclock",
    "telephone": "blacktelephone",
    "mobile phone": "cellphone",
    "soccer ball": "soccerball",
    "basketball": "basketballandhoop",
    "football": "americanfootball",
    "sun": "whitesun",
    "moon": "crescentmoon",
    "star": "whitemediumstar",
}
