"""Where people go and who does what: two tables of the demo's world (their format: caref.data.demo.world)."""

PLACES = """
library: lends books and keeps quiet rooms for reading
    borrow a novel; look up an old newspaper; return books that are due;
    study at a desk among shelves of books
bakery: bakes and sells bread and cakes
    buy a loaf of rye bread; order a birthday cake; pick up warm croissants; choose from a tray of pastries
pharmacy: sells medicine and gives advice on it
    buy cough syrup; buy a jar of vitamin pills; ask for an ointment against a rash; buy a box of aspirin
post office: takes in letters and parcels and sends them on
    mail a parcel; buy stamps for a letter; send a registered letter; have a postcard sent abroad
bank: keeps money and valuables safe and gives loans
    open a savings account; ask for a loan; deposit a check; put jewels into a safe-deposit box
airport: has runways where planes take off and land
    catch a flight to another continent; see jets take off; meet an uncle whose plane is landing;
    get on a plane
hospital: has doctors and operating rooms for the sick and injured
    have a broken leg set; undergo heart surgery; visit a friend after an operation;
    be X-rayed after a bad fall
movie theater: shows films on a large screen
    watch a new film; see a movie premiere; wear 3D glasses for an action film;
    see a cartoon film on a big screen
zoo: keeps wild animals for visitors to see
    look at lions behind a fence; see penguins being fed; watch monkeys in their enclosure;
    see a live giraffe
barber shop: cuts hair and trims beards
    get a haircut; have a beard trimmed; get a shave; have the hair at the neck cut short
swimming pool: is a basin of clean water with lanes for swimmers
    swim laps; jump from a diving board; learn the backstroke; splash about in the shallow end
museum: shows old and precious objects to the public
    see ancient coins in glass cases; look at Egyptian mummies; look at a dinosaur skeleton;
    join a guided tour of old paintings
gas station: sells fuel for cars
    fill the tank of a car; buy diesel for a van; refuel before a long drive; get ten gallons of fuel
farm: grows crops and keeps animals such as cows and hens
    milk cows; collect eggs from a henhouse; help with the potato harvest; clean out a pigsty
beach: is a strip of sand beside the sea
    build a sandcastle; collect seashells; walk barefoot along the waves; lie on the sand by the sea
train station: has platforms where trains stop
    catch an express train; wait on a platform for a train; buy a railway ticket; change trains
courthouse: has judges who decide legal cases
    hear the verdict of a judge; testify before a jury; follow a murder trial; defend a client before a jury
gym: has weights and machines for exercise
    lift weights; run on a treadmill; train the arm muscles on a machine; ride an exercise bike
laundromat: has rows of washing machines that run on coins
    wash a bag of dirty clothes; put coins into a washing machine; dry a load of wet towels in a machine;
    get the laundry done
theater: puts actors on a stage before an audience
    see actors perform a play; see a ballet on stage; see a tragedy by Shakespeare performed;
    applaud live actors
flower shop: sells cut flowers and bouquets
    buy a bunch of tulips; order a wedding bouquet; choose red roses for a birthday;
    pick up a wreath of lilies
school: teaches children in classes
    attend a math class; learn to read along with other children; hand in homework;
    sit at a desk while a teacher explains fractions
repair shop: mends cars that do not run well
    have the brakes of a car fixed; get new tires put on a car; have a broken headlight replaced;
    have a dented car door straightened
stadium: holds big matches before thousands of people
    cheer for a football team; watch a championship match from the stands; see runners race around a track;
    sing with thousands of football fans
police station: has officers who take reports of crimes
    report a stolen bicycle; report a burglary; ask about a brother who was arrested;
    tell an officer about a robbery
restaurant: cooks meals and serves them at tables
    order a steak from a waiter; eat a three-course dinner; book a table for six;
    share a bottle of wine over dinner
campsite: offers open ground for tents
    pitch a tent; park a trailer for the night in the woods; sleep in a sleeping bag under the trees;
    cook over an open fire beside a tent
harbor: gives ships a safe place to dock
    watch ships unload their cargo; board a ferry; tie up a sailing boat; buy fish straight from the boats
"""

JOBS = """
plumber: works on pipes, faucets and drains
    fix a leaking pipe; unblock a kitchen drain; put in a new bathtub; replace a dripping faucet
dentist: looks after people's teeth
    fill a cavity; pull out a rotten tooth; fit a set of braces; put a crown on a broken tooth
pilot: flies planes
    fly passengers across an ocean; land a jet on a runway; steer a plane through a storm;
    talk to the passengers from the cockpit
firefighter: puts out fires and saves people from them
    put out a burning house; rescue people from a smoky building; climb a ladder to a burning window;
    aim a hose at the flames
teacher: teaches children at school
    explain fractions to a class; grade spelling tests; give a class its homework;
    prepare a class for a math test
surgeon: operates on patients
    take out an inflamed appendix; sew up a patient's deep wound; transplant a kidney;
    operate on a weak heart
farmer: grows crops and raises animals
    plow a field; harvest wheat; look after a herd of cows; sow corn
mechanic: repairs engines and other parts of cars
    repair a car engine; change the brake pads of a van; replace a worn clutch; find out why a motor rattles
tailor: sews clothes and alters them
    shorten a pair of trousers; sew a suit to measure; let out the waist of a dress;
    put a new lining in a jacket
judge: decides cases in court
    sentence a thief; decide a case in court; call for order in the courtroom; set a prisoner's bail
librarian: looks after the books of a library
    put returned books back on the shelves; issue library cards; find a book in the catalog;
    charge readers for overdue books
barber: cuts hair and trims beards
    trim a beard; give a customer a haircut; shave a man's chin; even out a customer's sideburns
gardener: looks after lawns and flower beds
    prune the roses; mow the lawn of a villa; plant tulip bulbs; trim a hedge
electrician: works on wires and fuses
    rewire an old house; replace a blown fuse; put in a power outlet; connect a chandelier to the mains
veterinarian: treats animals that are sick or hurt
    vaccinate a puppy; treat a limping horse; take a splinter out of a cat's paw;
    give a sick parrot its medicine
carpenter: makes things out of wood
    build a wooden staircase; plane an oak door; make a bookcase from boards; cut the beams of a roof
photographer: takes pictures with a camera
    take wedding pictures; shoot portraits in a studio; choose a lens for a close-up;
    light a model for a magazine cover
journalist: reports the news
    interview a senator for a newspaper; write an article about an election;
    report from the scene of a flood; check the facts of a news story
violinist: plays the violin in concerts
    play a solo in a concert; tune four strings before a concert; rehearse a sonata with a pianist;
    practice scales with a bow
astronaut: travels and works in space
    walk in space; repair a satellite in orbit; live on a space station for months; train for zero gravity
lifeguard: watches over swimmers
    pull a drowning swimmer out of the water; keep an eye on the bathers from a high chair;
    call back swimmers who go out too far; raise the red flag on the beach
mail carrier: brings letters and parcels to people's homes
    bring letters to every house on a street; put postcards into mailboxes; carry a bag full of letters;
    have people sign for parcels at the door
bus driver: drives passengers through the city on a fixed route
    pull up at every bus stop; drive passengers through the city; keep to the timetable of a bus line;
    open the doors at each bus stop
translator: puts texts from one language into another
    turn a French novel into English; put a contract into Spanish; find the German word for a rare herb;
    write the subtitles of a Japanese film in English
beekeeper: keeps bees for their honey
    collect honey from the hives; calm a swarm with smoke; lift the combs out of a hive;
    look for a new queen bee
optician: fits people with glasses
    test a customer's eyesight; grind the lenses of a pair of glasses;
    help a customer choose frames for new lenses; adjust glasses that keep slipping
detective: investigates crimes
    find out who stole the jewels; question suspects in a murder case; search a room for fingerprints;
    shadow a suspect through the city
waiter: serves the guests of a restaurant
    bring menus to the tables; take an order for two soups; carry plates of food to the guests;
    bring the diners their check
"""
