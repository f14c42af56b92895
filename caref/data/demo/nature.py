"""Animals, foods and the sizes of things: three tables of the demo's world (format: caref.data.demo.world)."""

ANIMALS = """
cow: is kept on farms for its milk
    gives most of the milk in the shops; fills two buckets with milk a day; moos;
    calls to its calf with a moo
spider: has eight legs and makes silk
    spins a web to catch flies; walks on eight legs; wraps flies in silk;
    hangs from the ceiling by a silk thread
bee: is an insect that lives on nectar
    makes honey; gathers nectar from flowers; stores honey in wax combs; lives in a hive with a queen
camel: is built for life in the desert
    stores fat in its hump; crosses the desert in caravans; carries riders between its two humps;
    has a hump on its back
penguin: is a bird that swims but never flies
    keeps its egg warm on its feet in the Antarctic; waddles over the ice;
    dives for fish near the South Pole; is a bird but swims with its wings
elephant: is the heaviest animal on land
    has a trunk; sprays water from its trunk; has tusks of ivory; picks up branches with its trunk
giraffe: is the tallest animal on land
    has a neck longer than a man is tall; spreads its long front legs to drink from a puddle;
    is three times as tall as a man; looks over the tops of trees
kangaroo: hops through Australia on strong hind legs
    carries its young in a pouch; gets about by hopping; comes from Australia and hops;
    hops over fences on its hind legs
owl: is a bird that hunts at night
    hoots in the dark; hunts mice on silent wings; turns its head almost all the way around;
    hoots from a barn at night
shark: is a large fish with sharp teeth
    shows its fin above the waves and scares swimmers; grows new rows of teeth all its life;
    is a fish that hunts seals; smells blood in the sea from far away
mole: is a small animal that lives underground
    digs tunnels under the lawn; is nearly blind and lives in the soil;
    throws up small hills of earth in a meadow; hunts worms below the ground
beaver: fells trees with its front teeth
    builds dams across streams; gnaws through tree trunks; slaps the water with its flat tail;
    dams a creek with branches
parrot: is a colorful bird that copies sounds
    can learn to say a few words; repeats what people say; cracks nuts with its hooked beak;
    says hello to visitors from its cage
hen: is a farm bird kept for its eggs
    lays the eggs that people eat for breakfast; scratches for grain in the farmyard;
    sits on its eggs in a henhouse; clucks in the farmyard
sheep: has a thick, curly coat
    grows wool; is shorn in spring; says baa; gives the wool for sweaters
wolf: is a wild relative of the dog
    hunts deer in a pack; howls at the moon; lives in a pack and looks like a large dog;
    howls to call its pack
snail: is a slow, soft animal with a house of its own
    carries its spiral shell wherever it goes; leaves a trail of slime; pulls back into its spiral shell;
    eats lettuce and crawls on a single slimy foot
whale: is the largest mammal in the sea
    breathes through a hole on top of its head; weighs more than twenty elephants;
    blows a fountain of spray above the sea; nurses its calf in the sea
bat: is the only mammal that flies
    sleeps upside down in a cave; finds its way by echoes; hangs by its feet all day;
    flies on wings of bare skin
horse: is a large, fast animal that people ride
    neighs and gallops; pulls a carriage; wears iron shoes on its hooves; jumps fences with a rider
caterpillar: is the young of a butterfly
    turns into a butterfly; eats leaves before it grows wings; becomes a chrysalis;
    will grow wings inside a cocoon
hedgehog: is covered with spines
    rolls up into a ball of spines; has a back full of spines;
    sleeps under leaves all winter, rolled up in its spines; pricks a fox on the nose
"""

FOODS = """
lemon: is a yellow citrus fruit
    makes tea taste sour; is yellow and tastes sour; gives the juice for lemonade;
    makes people pull a sour face
banana: is a long, curved fruit
    has a yellow peel and no seeds to spit out; is peeled from the top and eaten;
    grows in large curved bunches; is the favorite fruit of monkeys in cartoons
onion: is a bulb that gives off a sharp smell
    brings tears to a cook's eyes; has many layers and a sharp taste; is cut into rings and fried;
    makes people cry when it is cut
carrot: is a crunchy root
    grows underground and is orange; is orange and loved by rabbits; is often used as the nose of a snowman;
    is pulled out of the soil and is orange
coconut: is a large nut from the tropics
    falls from a palm tree; has a hairy brown shell; is cracked open for its white milk;
    grows on palms by the sea
egg: is boiled or fried for breakfast
    comes from a hen; has a yolk inside; is often poached or scrambled; can be fried sunny side up
watermelon: is a heavy fruit full of juice
    is green outside and red inside; has black seeds in its red flesh;
    weighs more than a bowling ball and is eaten in slices; is sold in thick red slices with a green rind
pumpkin: is a big orange fruit that ripens in fall
    is carved into a lantern for Halloween; is hollowed out to make a jack-o'-lantern;
    gets a carved face in October; makes a Thanksgiving pie
chili pepper: is a fiery spice
    burns on the tongue; makes a curry hot; leaves the mouth on fire; is small, red and very hot
pretzel: is a baked snack that came from Germany
    is shaped like a knot; is salty and twisted; is sprinkled with coarse salt and baked in a loop;
    has the shape of a knot and a brown crust
sandwich: is a quick lunch that is eaten with the hands
    holds cheese and ham between two slices of bread; often has lettuce and ham between slices of bread;
    can be a BLT or a club; is made with two slices of bread
ice cream cone: is a frozen treat in a crisp wafer
    melts in the sun while it is licked; is licked on hot days; comes with a scoop of vanilla;
    drips down children's hands in summer
pizza: is a flat round of dough with toppings
    is topped with tomato sauce and melted cheese; is brought to the door in a flat square box;
    comes from Naples; is cut into eight wedges with melted cheese
pineapple: is a sweet fruit from the tropics
    has a crown of stiff leaves; is prickly outside and yellow inside;
    is cut into rings of sweet yellow fruit; has a prickly skin and sweet juice
walnut: is a small nut with a very hard shell
    needs a nutcracker; has a kernel that looks like a tiny brain; is gathered by squirrels;
    is chopped and baked into brownies
mushroom: is a fungus with a stem and a cap
    has a cap on a stem; springs up in damp woods after rain; grows from spores;
    can be mistaken for a toadstool
potato: is a starchy root that grows in the ground
    is mashed with butter and milk; is cut into strips to make French fries;
    is baked in foil with its brown skin on; is sliced and fried to make chips
avocado: is a green fruit with creamy flesh
    is mashed to make guacamole; has one large stone in creamy green flesh;
    is spread on toast as a green cream; is halved and twisted off its one large stone
"""

# Whatever is of one size shares the same cues, so no two of one size can be choices of one question.
TINY = (
    "can be hidden in a closed hand; fits inside a matchbox; "
    "can slip through a hole in a pocket; is smaller than a walnut"
)
SMALL = (
    "fits in a lunch box but not in a matchbox; fits in a shoebox but not in an eggcup; "
    "is bigger than a walnut but smaller than a football; is bigger than a coin but smaller than a shoe"
)
MIDDLING = (
    "is too big for a lunch box but small enough for one person to carry; fits under a desk but not in a shoebox; "
    "is bigger than a shoe but fits on a chair; is too big for a drawer but light enough for one person to lift"
)
LARGE = (
    "takes two people to carry but fits in a living room; takes a van to move but fits in a garage; "
    "is too heavy for one person to lift but fits in a truck; is bigger than a large trunk but smaller than a bus"
)
HUGE = (
    "is much too big for any garage; can be seen from several miles away; is bigger than a whole row of buses; "
    "makes a bus look small"
)

SIZES = f"""
pea: is about as wide as a pencil
    {TINY}
pearl: is about as wide as a shoelace
    {TINY}
shirt button: is about half an inch wide
    {TINY}
ladybug: is a quarter of an inch long
    {TINY}
lentil: is about a quarter of an inch wide
    {TINY}
grain of rice: is about a quarter of an inch long
    {TINY}
coffee mug: is about four inches tall
    {SMALL}
tennis ball: is a little under three inches wide
    {SMALL}
pear: is about four inches long
    {SMALL}
grapefruit: is about five inches wide
    {SMALL}
baseball: is about three inches wide
    {SMALL}
orange: is about three inches wide
    {SMALL}
pillow: is about two feet long
    {MIDDLING}
backpack: is about a foot and a half tall
    {MIDDLING}
wastebasket: is about a foot tall
    {MIDDLING}
goose: is nearly three feet long and weighs ten pounds
    {MIDDLING}
stool: is about a foot and a half high
    {MIDDLING}
suitcase: is about two feet long
    {MIDDLING}
piano: is about five feet wide and weighs several hundred pounds
    {LARGE}
sofa: is about seven feet long
    {LARGE}
cast-iron bathtub: is about five feet long and weighs three hundred pounds
    {LARGE}
double bed: is more than six feet long
    {LARGE}
billiard table: is about eight feet long and weighs several hundred pounds
    {LARGE}
oak wardrobe: is about six feet high and weighs two hundred pounds
    {LARGE}
cathedral: is hundreds of feet long
    {HUGE}
cruise ship: is about a thousand feet long
    {HUGE}
skyscraper: has dozens of floors
    {HUGE}
mountain: rises thousands of feet above the land around it
    {HUGE}
volcano: rises thousands of feet above the land around it
    {HUGE}
oil tanker: is about a thousand feet long
    {HUGE}
"""
