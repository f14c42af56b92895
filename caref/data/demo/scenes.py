"""What can be seen of people in the demo's scenes, and what follows from it.

An aspect is a question about a scene that has one answer at a time. Each of its states has the claims that are
true in it and the sights that show it, each with the reason why. Every phrase comes after "is" or "are".
"""

from dataclasses import dataclass

from caref.data.demo.english import a


@dataclass(frozen=True)
class State:
    aspect: str
    claims: tuple[str, ...]
    sights: tuple[tuple[str, str], ...]  # what is seen, and why the claims follow from it


# A state begins with its claims; its sights and their reasons are indented.
TABLES = {
    "pastime": """
reading; looking at printed words
    going through a newspaper line by line: going through the lines of a newspaper is reading
    deep in a thick novel: someone deep in a novel is reading it
    studying the last page of a letter: a letter is studied by reading its words
making music; playing an instrument
    strumming a guitar: a guitar is an instrument, and strumming it makes music
    playing a slow tune on a violin: a violin is an instrument, and a tune is music
    blowing into a trumpet: a trumpet is an instrument that makes music when it is blown
    practicing the drums: the drums are an instrument
making a picture; creating art
    sketching a tree with a pencil: a sketch is a picture
    painting a portrait: a portrait is a painted picture
    drawing a horse with chalk: whoever draws a horse makes a picture of it
preparing food; getting a meal ready
    peeling potatoes: potatoes are peeled before they are cooked
    chopping onions for a soup: chopping the onions is a step in cooking soup
    stirring a pot of stew: a stew is a meal that is stirred while it cooks
    rolling out dough for a pizza: rolling the dough is the first step in making a pizza
sewing; working with needle and thread
    stitching a button onto a shirt: a button is sewn on with needle and thread
    mending a torn sleeve stitch by stitch: mending with stitches is sewing
    embroidering a handkerchief: embroidery is done with needle and thread
cleaning; getting rid of dirt
    scrubbing a muddy pair of boots: scrubbing takes the mud off
    polishing a dusty silver bowl: polishing takes the dust off
    washing a stack of dirty plates: washing takes the dirt off the plates
playing a game; busy with a game
    moving a chess piece: chess is a game
    dealing cards for a round of poker: poker is a card game
    rolling the dice in backgammon: backgammon is a game with dice
""",
    "motion": """
running; moving fast on foot
    sprinting toward a finish line: to sprint is to run at full speed
    jogging at a steady pace: jogging is a kind of running
    dashing across a field: to dash is to run fast
on a bike; riding on two wheels
    pedaling hard up a hill: whoever pedals up a hill is on a bike
    steering a mountain bike around a bend: a mountain bike has two wheels and is ridden
    cycling at full speed: to cycle is to ride a bike
in the water; swimming
    doing the backstroke: the backstroke is a way of swimming
    swimming lap after lap: laps are swum in the water
    doing a fast front crawl between two buoys: the front crawl is a way of swimming
climbing; going up with hands and feet
    halfway up a tall ladder and still going higher: going higher on a ladder is climbing it
    pulling up onto the next ledge of a steep rock wall: getting from ledge to ledge up a wall is climbing
    scrambling up the trunk of a tree: scrambling up a trunk is a way of climbing
digging; making a hole in the ground
    shoveling earth out of a trench: a trench is dug by shoveling out the earth
    driving a spade deep into the soil and turning it over: turning over soil with a spade is digging
    shoveling soil out of a hole for a new tree: shoveling the soil out makes the hole
on a horse; riding an animal
    galloping along in the saddle of a brown mare: a mare is a female horse
    trotting past on a pony: a pony is a small horse
    jumping a fence on a gray stallion: a stallion is a male horse
""",
    "place": """
in a kitchen; in a room for cooking
    next to a hot stove and a sink: a stove next to a sink is found in a kitchen
    beside an open oven in a family kitchen: a family kitchen is a room for cooking
in a library; in a building full of books
    between the shelves of a public library: a public library is a building full of books
    in the reading room of a library: a reading room is part of the library
on a train; inside a railroad car
    by the window of a moving express train: an express train is a train
    in the dining car of a train: a dining car is part of a train
in a park; in a public garden
    under the lamps of the city park: the city park is a public garden
    beside the fountain of a large park: the fountain is in the park
on a boat; on board a vessel
    on the deck of a ferry: a ferry is a boat
    at the rail of a small sailing boat: the rail is part of the boat
in a school; inside a schoolhouse
    in front of the blackboard of a classroom: classrooms are found in schools
    in the hallway of an elementary school: an elementary school is a school
in a shop; in a store
    at the counter of a shoe shop: a shoe shop is a store
    among the racks of a clothing store: a clothing store is a shop
in a forest; in the woods
    on a trail through dense woods: dense woods are a forest
    under the pines of a deep forest: the pines are part of the forest
""",
    "setting": """
outdoors; out in the open air
    on a sandy beach: a beach is out in the open
    in the middle of a meadow: a meadow lies in the open air
    on the bank of a river: a river bank is outdoors
    under a tall oak in the woods: the woods are outdoors
    in a vegetable garden: a garden lies in the open air
indoors; inside a building
    in a living room: a living room is inside a house
    in a tidy kitchen: a kitchen is a room inside a building
    in the hall of a museum: a museum is a building
    in a hospital room: a hospital is a building
    in an office on the fourth floor: an office with a floor number is inside a building
""",
    "weather": """
out in the rain; out in wet weather
    out in a heavy downpour: a downpour is heavy rain
    out in the street in a summer shower: a shower is a short rain
    outside as raindrops bounce off the pavement: raindrops fall when it rains
out in the sunshine; out in dry, bright weather
    out under a blue and cloudless sky: a cloudless sky lets the sun through
    outside with the sun glaring down: the glaring sun means sunshine
    out in the bright midday sun: the midday sun gives sunshine
out in the snow; out in wintry weather
    out in a blizzard: a blizzard is a snowstorm
    outside amid thick white snowflakes: snowflakes fall when it snows
    out in thickly falling snow: falling snow is wintry weather
""",
    "mood": """
happy; in good spirits
    grinning from ear to ear: people grin like that when they are happy
    laughing out loud with joy: joy is happiness
    beaming with delight: delight is great happiness
    humming a merry tune with a broad smile: a broad smile shows good spirits
sad; unhappy
    sobbing with grief: grief is deep sadness
    in tears over a loss: tears over a loss show sadness
    weeping with sorrow: sorrow is sadness
    downcast and close to tears: people who are downcast are sad
""",
    "company": """
alone; unaccompanied
    all by {self}: being by oneself means that nobody else is there
    the only human being for miles: the only human being for miles has nobody near
    quite alone: someone quite alone has no company
with other people; in company
    together with two friends: friends are other people
    among a small group of friends: a group of friends is company
    side by side with a brother and a sister: brothers and sisters are people too
    accompanied by a neighbor: a neighbor is another person
""",
    "posture": """
standing; on two feet
    upright on both feet: being upright on the feet is standing
    standing up straight: whoever stands up straight stands
    standing tall with straight legs: people stand with straight legs
sitting; seated
    sitting cross-legged: cross-legged is a way to sit
    settled on a folding chair: people sit on chairs
    perched on a three-legged stool: to be perched on a stool is to sit on it
lying down; in a lying position
    flat on {his} back: someone flat on the back is lying down
    stretched out on a blanket: to be stretched out on a blanket is to lie on it
    face down on a mat: someone face down on a mat is lying on it
""",
}

SHADES = {
    "red": ("crimson", "scarlet", "ruby-red"),
    "blue": ("navy", "sky-blue", "sapphire-blue"),
    "green": ("emerald", "olive-green", "lime-green"),
    "yellow": ("lemon-yellow", "mustard-yellow", "canary-yellow"),
    "white": ("snow-white", "ivory", "cream-white"),
    "black": ("jet-black", "coal-black", "pitch-black"),
    "purple": ("violet", "plum-colored", "lavender"),
}
GARMENTS = {
    "coat": ("in", "dressed in"),
    "sweater": ("in", "dressed in"),
    "scarf": ("in", "wrapped in"),
    "hat": ("in",),
}


def parse(aspect: str, table: str) -> list[State]:
    """The states of one aspect."""
    states = []
    for line in table.strip().splitlines():
        if line.startswith(" "):
            sight, why = line.strip().split(": ")
            states[-1][1].append((sight, why))
        else:
            states.append((tuple(line.split("; ")), []))
    return [State(aspect, claims, tuple(sights)) for claims, sights in states]


def dressed(garment: str, ways: tuple[str, ...]) -> list[State]:
    """The colors a garment can have, as states."""
    return [
        State(
            garment,
            tuple(f"{way} {a(color)} {garment}" for way in ways),
            tuple(
                (f"{way} {a(shade)} {garment}", f"{shade} is a shade of {color}") for shade in shades for way in ways
            ),
        )
        for color, shades in SHADES.items()
    ]


STATES: dict[str, list[State]] = {aspect: parse(aspect, table) for aspect, table in TABLES.items()} | {
    garment: dressed(garment, ways) for garment, ways in GARMENTS.items()
}

# Aspects of which the one says nothing about the other; "clothes" stands for any of the garments.
INDEPENDENT = (
    *(("pastime", other) for other in ("setting", "mood", "clothes")),
    *(("motion", other) for other in ("mood", "company")),
    *(("place", other) for other in ("mood", "posture", "company", "clothes")),
    *(("setting", other) for other in ("mood", "posture", "company", "clothes")),
    *(("weather", other) for other in ("mood", "company", "clothes")),
    *(("mood", other) for other in ("posture", "company", "clothes")),
    *(("company", other) for other in ("posture", "clothes")),
    ("posture", "clothes"),
)

# What remains open as long as only another aspect is known.
OPEN = {
    "pastime": "what {he} {is_} doing",
    "motion": "how {he} {is_} moving",
    "place": "where {he} {is_}",
    "setting": "where {he} {is_}",
    "weather": "what the weather is like",
    "mood": "how {he} {is_} feeling",
    "company": "whether anybody else is there",
    "posture": "whether {he} {is_} standing, sitting or lying",
} | dict.fromkeys(GARMENTS, "what {he} {is_} wearing")


def relation(shown: State, claimed: State) -> str:
    """What a claim of one state is to someone who is shown another: a label of e-SNLI."""
    if shown == claimed:
        return "entailment"
    return "contradiction" if shown.aspect == claimed.aspect else "neutral"
