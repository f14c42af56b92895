"""What things are for and what they are made of: four tables of the demo's world (format: caref.data.demo.world)."""

TOOLS = """
hammer: has a heavy metal head for striking
    drive a nail into a board; pound a tent peg into the ground; nail a shoe to a horse's hoof;
    knock a bent nail straight
saw: has a row of sharp teeth that cut wood
    cut a board in two; take a dead branch off a tree; shorten a table leg; cut a trunk into logs
screwdriver: has a tip that fits the head of a screw
    tighten a loose screw; take the screws out of a hinge; fix a handle with two screws;
    loosen the screws of a radio
needle: is thin and sharp and pulls thread through cloth
    sew on a button; mend a hole in a sock; stitch a hem; embroider a flower on a pillow
ladder: has rungs to climb on
    pick the highest apples on a tree; reach a window on the second floor; get at the gutters of a house;
    hang a lamp from a very high ceiling
shovel: has a wide blade for moving earth and snow
    dig a hole; clear deep snow from a driveway; dig a ditch; turn over the soil of a flower bed
paintbrush: holds paint in its bristles
    put blue paint on a fence; paint a portrait; cover a door with varnish;
    paint a thin red stripe on a wall
broom: has long bristles on a stick
    sweep the floor; brush dust off the steps; sweep dry leaves into a pile;
    get crumbs out from under a table
bucket: is a deep container with a handle
    carry water from a well; catch the drips under a leaking roof; haul milk from the barn to the house;
    carry soapy water up the stairs
magnet: pulls iron and steel toward it
    pick up iron filings; hold a note on a steel door; pull steel pins out of sawdust;
    sort iron scraps from plastic
thermometer: shows how hot or cold something is
    check for a fever; find out how warm the bath water is; see how cold it is outside;
    check the heat inside a roast
ruler: has a straight edge with marks for every inch
    draw a straight line; measure the length of a pencil; check that a card is six inches wide;
    mark every inch on a strip of paper
microscope: makes the tiniest things look large
    look at bacteria; study the cells of a leaf; find living things in a drop of pond water;
    see the scales on the wing of a moth
telescope: makes things in the sky look close
    see the moons of Jupiter; study the craters of the moon; look for a faint comet; see the rings of Saturn
compass: has a pointer that always turns north
    find north in a thick forest; keep a ship on course under a cloudy sky; tell which way is west;
    walk due south across a desert
flashlight: throws a beam of light
    light the way through a dark cellar; see under the bed during a power cut; send light signals at night;
    light up the walls of a cave
rope: is long and strong and can be knotted
    tie a boat to a pier; tow a car out of a ditch; lower a climber down a cliff;
    tie boxes to the roof of a car
key: fits the one lock it was cut for
    open a locked door; start the engine of an old car; lock a diary; open a padlock
scale: shows how heavy things are
    find out how heavy a suitcase is; weigh flour for a cake; check the weight of a newborn baby;
    weigh a bag of apples
stopwatch: measures time to a fraction of a second
    time a sprinter; see how long a swimmer takes for one lap;
    find out who was faster by a tenth of a second; time a horse race
calculator: does sums at the touch of a button
    add up a long column of numbers; work out the square root of a number; multiply two large numbers;
    divide a bill by seven
camera: takes pictures
    photograph a sunset; make pictures for a family album; take a passport picture;
    take a close-up picture of a flower
umbrella: opens into a small roof of cloth
    stay dry in a shower; keep the rain off a new hat; walk dry through a downpour;
    shelter a friend from the rain
lawn mower: cuts grass with its turning blades
    cut the grass; shorten the grass of a football field; give the lawn an even height;
    cut an overgrown lawn
sponge: is soft and soaks up water
    soak up spilled milk; wash a car by hand; wipe a blackboard clean; wipe soap off a windshield
bicycle pump: presses air through a valve
    inflate a flat tire; fill a football with air; put air into a soft tire; blow up a rubber raft
"""

HOUSEHOLD = """
refrigerator: keeps food cold
    keep milk cold; stop raw meat from going bad; chill a bottle of lemonade; keep butter firm in summer
oven: surrounds food with dry heat
    bake a cake; roast a chicken; brown the top of a lasagna; bake a tray of cookies
washing machine: turns clothes in soapy water
    wash dirty shirts; get mud out of a pair of jeans; clean a load of dirty sheets;
    spin the water out of wet socks
dishwasher: sprays hot water over dirty dishes
    clean a stack of greasy plates; wash all the glasses after a party; get dried soup off the bowls;
    wash coffee stains out of cups
vacuum cleaner: sucks up dust
    suck dust out of a carpet; remove cat hair from a sofa; clean a rug without beating it;
    suck up spilled cereal
iron: presses cloth with a hot flat plate
    smooth a wrinkled shirt; press a crease into trousers; flatten a crumpled tablecloth;
    get the wrinkles out of a blouse
kettle: brings water to a boil
    boil water for tea; heat water for instant coffee; fill a hot-water bottle; boil two cups of water
toaster: browns slices of bread
    make toast; brown two slices of bread in a minute; pop up slices of hot toast;
    toast a slice of bread for breakfast
bed: has a soft mattress to lie on
    sleep through the night; lie under a quilt until morning; lie down on a mattress;
    get eight hours of sleep
lamp: gives light when it is switched on
    read after dark; brighten a dim corner; light a desk in the evening; see the page of a book at midnight
mirror: shows whatever stands before it
    see how a new hat looks; see a pimple on your own nose; check your own teeth; look at your own face
television: shows programs with picture and sound
    watch the evening news; follow a soap opera; see a football match from the sofa; watch cartoons
telephone: carries voices over any distance
    talk to a friend in another city; call the fire department; hear grandparents who live far away;
    order a taxi
alarm clock: rings at the hour it is set for
    wake up at six; get up in time for an early train; wake up from a nap after half an hour;
    get roused at dawn
bathtub: holds enough water to lie in
    lie in warm water; give a muddy dog a bath; soak in hot foam; bathe two small children
wardrobe: has a rail to hang clothes on
    hang up winter coats; hang dresses out of the dust; store suits on hangers;
    put away a row of ironed shirts
bookcase: has shelves for books
    keep a hundred novels in order; line up the volumes of an encyclopedia;
    show off a collection of poetry books; store cookbooks upright
fan: moves the air in a room
    get a breeze on a hot night; blow stale air out of a room; cool a sweaty face with moving air;
    make curtains flutter on a windless day
heater: warms the air of a room
    warm a cold bedroom; take the chill out of a cabin; heat an office in winter;
    keep a greenhouse free of frost
blender: chops and mixes food with its fast blades
    make a banana smoothie; puree cooked vegetables; crush berries into a sauce;
    mix strawberries into a milkshake
curtain: covers a window with cloth
    keep the morning sun out of a bedroom; stop the neighbors from looking in; shade a window;
    hide a room from the street at night
corkscrew: twists into a cork and pulls it out
    open a bottle of wine; pull the cork out of a bottle; uncork a bottle of red wine;
    get at a cork stuck in a bottle
frying pan: is a flat pan for the stove
    fry two eggs; make pancakes; brown onions in butter; sear a steak
"""

VEHICLES = """
ambulance: takes people who are sick or hurt to the hospital quickly
    drive a patient to the hospital with its siren on; take a heart patient through traffic to the hospital;
    drive the victims of a crash to the emergency room; get an injured cyclist to a hospital by road
tractor: is strong and slow and does the heavy work on a farm
    pull a plow across a field; tow a trailer full of hay; drag a seed drill over the soil;
    spread manure on the fields
submarine: travels under water
    explore the ocean floor; travel below the waves; dive under the polar ice;
    glide unseen past ships overhead
helicopter: can hover in one place and land without a runway
    land on the roof of a tower; lift a climber off a steep cliff; hover above a traffic jam;
    set doctors down in a jungle clearing
cargo ship: carries huge loads over the sea
    take a thousand containers across the ocean; ship cars from Japan to Europe;
    move grain from port to port; send coal overseas
sled: slides over snow on two runners
    slide down a snowy hill; race down a white slope; glide behind a team of huskies;
    pull a child across the snow
bicycle: moves when its rider pushes the pedals
    get to work by pedaling; ride along a narrow bike path; pedal up a hill; cycle through the countryside
fire truck: brings firefighters and their hoses to a fire
    bring hoses to a burning barn; pump water onto a blaze; take a crew of firefighters to a fire;
    raise a long ladder to a burning attic
garbage truck: collects trash from the houses
    empty the trash cans on a street; press household trash together; take trash to the dump;
    collect garbage bags every Monday
school bus: takes children to school and home again
    take thirty children to school; bring a whole class home after lessons;
    pick up pupils along a country road; drive a school team home from class
canoe: is a light, narrow boat that is moved with a paddle
    paddle down a quiet river; cross a small lake by paddle; paddle between reeds;
    explore a shallow creek with a paddle
rocket: has the power to leave the Earth
    put a satellite into orbit; send astronauts to the moon; launch a probe toward Mars;
    carry supplies to a space station
crane: lifts heavy loads high into the air
    lift steel beams to the top of a tower; hoist a piano to the tenth floor;
    raise concrete slabs at a building site; lift containers off a dock
subway train: runs through tunnels under a city
    cross a city underground; pass below crowded streets; go from station to station in tunnels;
    travel under the downtown area
"""

MATERIALS = """
glass: is clear and lets light through
    a window pane; a light bulb; a test tube; the wall of an aquarium
wool: is warm and can be spun and knitted
    a winter sweater; a knitted scarf; a pair of warm socks; a knitted cap
wood: comes from trees and is easy to saw and carve
    a violin; a canoe paddle; a log cabin; a pencil
paper: is thin and light and easy to print on
    a newspaper; a page of a notebook; a postage stamp; a road map
rubber: is elastic and keeps water out
    a car tire; an inner tube; a hot-water bottle; a pair of diving fins
leather: is tough, bends well and comes from animal hides
    a saddle; a baseball glove; a pair of cowboy boots; a cowboy's holster
steel: is a hard metal that bears great loads
    a railway track; the cable of a suspension bridge; a bank vault; the hull of an oil tanker
brick: is baked clay and stacks into firm walls
    the wall of an old factory; a chimney; an old city wall; the arch of an old sewer
gold: is a shiny yellow metal that never rusts
    a wedding ring; a precious brooch; a royal crown; a bar in the vault of a central bank
wax: melts easily and burns with a small flame
    a birthday candle; a tea light; an altar candle; a candle for a romantic dinner
"""
