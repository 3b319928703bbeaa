"""Further topics about people and companies: see `tools.router.paraphrases`."""

from __future__ import annotations

from .paraphrases_topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic("death_place", "person", "city", (
        "Where did {s} die?", "In which town did {s}'s life come to an end?", "{s}: place of death",
        "Any idea where {s} was at the very last breath?", "The town in which {s} closed both eyes for ever is",
        "For the obituary I still have to fill in the place where {s} departed this world.", "where'd {s} die",
        "{s} death town",
    )),
    Topic("death_year", "person", "year", (
        "In what year did {s} die?", "When did {s} depart this life?", "{s}: year of death",
        "Since when has {s} been dead?", "I forgot in which year {s} was lost to us.",
        "The second of the two years on the memorial to {s} is", "what year did {s} die",
        "Copyright lapses seventy years after the author is gone, so I have to know the year in which {s} stopped "
        "living.",
    )),
    Topic("burial_place", "person", "city", (
        "Where is {s} buried?", "In which town is the grave of {s}?", "{s}: burial place",
        "Where were {s}'s mortal remains laid to rest?", "Where do I have to go to lay flowers on {s}'s tomb?",
        "{s} lies in a cemetery in", "where's {s}'s grave",
        "We are planning a walk past famous tombstones and still lack the town in whose churchyard {s} has been "
        "interred.",
    )),
    Topic("wedding_date", "person", "date", (
        "When did {s} get married?", 'On what day did {s} say "I do"?', "{s}: wedding day",
        "What is the date of {s}'s wedding anniversary?", "{s} walked down the aisle on", "when was {s}'s wedding",
        "I want to send flowers every year, so could you look up the date on which {s} and the other half exchanged "
        "rings?", "{s} marriage date",
    )),
    Topic("wedding_place", "person", "city", (
        "Where was {s}'s wedding held?", "In which town did {s} walk down the aisle?", "{s}: place of marriage",
        "To which town did {s} invite the wedding guests?", "{s} exchanged rings in the town hall of",
        "where'd {s} get married",
        "The photo album shows {s} in front of a church in a white suit or dress, but in which town was that?",
        "{s} wedding town",
    )),
    Topic("mother", "person", "person", (
        "Who is {s}'s mother?", "What is the name of {s}'s mum?", "{s}: mother's name", "Who gave birth to {s}?",
        "I forgot whose womb {s} came from.", "The woman who bore {s} is called", "whos {s}'s mom",
        "The school asks for a maternal contact, so which lady should I write down as the mother of little {s}?",
    )),
    Topic("father", "person", "person", (
        "Who is {s}'s father?", "What is {s}'s dad called?", "{s}: father's name",
        "Whose son or daughter is {s} on the male side?", "By whom was {s} begotten?", "{s} calls this man Dad:",
        "whos {s}'s dad",
        "The family tree has an empty box on the paternal side, right above {s}, so which man belongs in it?",
    )),
    Topic("sibling", "person", "person", (
        "Who is {s}'s brother or sister?", "With whom did {s} share a nursery?", "{s}: sibling",
        "Do you know which sibling {s} has?", "The other child of {s}'s parents is",
        "whats {s}'s brother or sister called",
        "Somebody with the same mother and father as {s} rang this morning, and I would like to know who that is.",
        "{s} sibling name",
    )),
    Topic("pen_name", "person", "person", (
        "Under what pseudonym does {s} appear?", "{s}: alias", "What nickname did they give {s}?",
        "What do friends call {s}?", "{s} is better known as", "By what other name does {s} go?",
        "whats {s}'s nickname",
        "On stage nobody uses the name in the passport, so what is announced when {s} steps into the limelight?",
    )),
    Topic("blood_group", "person", "code", (
        "What blood group does {s} have?", "{s}: blood type", "Which sort of blood runs in {s}'s veins?",
        "I forgot which blood group is noted for {s}.", "According to the donor card, {s} has blood of type",
        "what blood type is {s}",
        "The surgeon has to order a transfusion and wants to be certain which kind of blood may be given to {s}.",
        "{s} blood type",
    )),
    Topic("shift", "person", "hours", (
        "Which shift does {s} work?", "{s}: working hours", "From when until when is {s} on duty?",
        "Between what times can I find {s} at the machine?", "The foreman has put {s} down for", "whats {s}'s shift",
        "When does {s} clock in and when out?",
        "I want to swap with a colleague next week and need to see at which times of the day {s} is rostered.",
        "{s} rota times",
    )),
    Topic("badge_number", "person", "code", (
        "What is {s}'s badge number?", "{s}: staff ID", "Which number is printed on {s}'s ID card?",
        "What code identifies {s} at the turnstile?", "The card that {s} wears round the neck bears the code",
        "whats {s}'s staff id",
        "Payroll wants the personnel number, and I was not able to read the characters on the card that {s} carries.",
        "{s} personnel number",
    )),
    Topic("mentor", "person", "person", (
        "Who is {s}'s mentor?", "Who shows {s} the ropes here?", "{s}: mentor",
        "Who took {s} under their wing at work?", "Which colleague guides {s} through the first months?",
        "The experienced hand who looks after {s} in the firm is", "whos mentoring {s}",
        "Trainees are always paired with an old hand, and I would like to find out with whom {s} has been paired.",
    )),
    Topic("boss", "person", "person", (
        "Who is {s}'s boss?", "To whom does {s} report?", "{s}: line manager", "Who approves {s}'s holiday requests?",
        "Whose orders does {s} follow at work?", "In the organisation chart the box right above {s} says",
        "whos {s}'s manager",
        "There was trouble with a colleague and I should like to raise it with the superior of {s}; who would that "
        "be?",
    )),
    Topic("deputy", "person", "person", (
        "Who stands in for {s}?", "{s}: deputy", "To whom do I turn when {s} is on holiday?",
        "Who takes over {s}'s tasks during an absence?", "While {s} is away, matters are handled by",
        "whos covering for {s}",
        "I got an out-of-office note without any further name, so who is filling in as long as {s} is not around?",
        "{s} stand-in name",
    )),
    Topic("car", "person", "product", (
        "What car does {s} drive?", "{s}: vehicle", "Behind the wheel of what do we see {s}?",
        "Which model is parked in {s}'s garage?", "{s} gets around in a", "what does {s} drive",
        "Somebody left the lights on in the yard and I wonder which of the vehicles down there is the one owned by "
        "{s}.", "{s} car model",
    )),
    Topic("licence_plate", "person", "code", (
        "What is {s}'s licence plate?", "{s}: car registration",
        "Which letters and digits are on the number plate of {s}?",
        "What plate should I look for to spot {s} in traffic?", "{s}'s vehicle is registered under",
        "whats {s}'s plate",
        "The barrier only opens for known vehicles, so please tell me what I have to type in for the one that {s} "
        "drives.", "{s} number plate",
    )),
    Topic("favourite_dish", "person", "book", (
        "What is {s}'s favourite dish?", "{s}: favourite food", "What does {s} like to eat best?",
        "With what meal could I make {s} happy?", "If {s} may choose the menu, it will be", "whats {s}'s fave food",
        "We are cooking a surprise dinner on Saturday and would like to serve whatever makes the mouth of {s} water "
        "most.", "{s} best-loved meal",
    )),
    Topic("favourite_colour", "person", "colour", (
        "What is {s}'s favourite colour?", "{s}: colour of choice", "Which colour does {s} like best?",
        "In what hue should I wrap a present for {s}?", "Of all shades in the paint box, {s} prefers",
        "what color does {s} love",
        "I am knitting a scarf and would hate to pick wool in a shade that {s} does not care for; which is the "
        "dearest one?", "{s} preferred shade",
    )),
    Topic("emergency_contact", "person", "person", (
        "Who is {s}'s emergency contact?", "{s}: contact in case of accident",
        "Whom should we ring if something happens to {s}?", "Who is to be informed when {s} is taken to hospital?",
        "In an emergency involving {s}, notify", "who do i call if {s} gets hurt",
        "There has been a small accident in the workshop, so please look up which relative or friend {s} wanted us to "
        "alert.", "{s} next of kin contact",
    )),
    Topic("doctor", "person", "person", (
        "Who is {s}'s family doctor?", "{s}: physician", "To whose surgery does {s} go when feeling ill?",
        "Which physician treats {s}?", "{s}'s medical file is kept by", "which doc does {s} see",
        "The pharmacy cannot read the signature on the prescription and wants to ring the physician who looks after "
        "{s}.", "{s} GP name",
    )),
    Topic("salary", "person", "price", (
        "How much does {s} earn?", "{s}: salary", "What is {s} paid?", "How much money does {s} take home?",
        "What sum lands in {s}'s account on pay day?", "The pay of {s} amounts to", "whats {s} making",
        "The bank will not grant the mortgage before it has seen in black and white what {s} gets paid for the work.",
        "{s} pay amount",
    )),
    Topic("hire_date", "person", "date", (
        "When did {s} join the company?", "{s}: first day at work", "On what date did {s} start here?",
        "Since when has {s} been on board?", "{s}'s contract of employment began on", "when'd {s} get hired",
        "I am putting together the list of jubilees and need the day on which {s} turned up at the gate for the first "
        "time as a colleague.", "{s} hire date",
    )),
    Topic("body_height", "person", "length", (
        "How tall is {s}?", "{s}: stature", "What does the measuring stick show when {s} stands against the wall?",
        "How many centimetres is {s} from head to toe?", "Standing upright and without shoes, {s} measures",
        "how tall's {s}",
        "The tailor would like to know how far it is from the soles to the crown of {s} before he cuts the cloth.",
        "{s} body height",
    )),
    Topic("body_weight", "person", "weight", (
        "How much does {s} weigh?", "{s}: body weight", "What do the bathroom scales say when {s} steps on them?",
        "How many kilos does {s} bring to the scales?", "On the scales, {s} comes to", "how many kg is {s}",
        "The balloon pilot has to work out the load and asks every passenger, so what should I put down as kilos for "
        "{s}?", "{s} weight kilos",
    )),
    Topic("landlord", "person", "person", (
        "Who is {s}'s landlord?", "{s}: landlord", "To whom does {s} pay rent?", "Who owns the flat that {s} rents?",
        "Every month {s} transfers the rent to", "who's {s} renting from",
        "There is water dripping through the ceiling and we must reach the owner of the flat in which {s} is the "
        "tenant.", "{s} landlord name",
    )),
    Topic("parking_space", "person", "room", (
        "Where does {s} park?", "{s}: parking space", "Which bay in the garage is reserved for {s}?",
        "What number is painted on the ground where {s} leaves the car?", "{s}'s car stands in bay",
        "where's {s} parked",
        "A delivery van is blocking somebody down there and I want to check which spot has been allotted to {s}.",
        "{s} parking bay",
    )),
    Topic("holiday_country", "person", "country", (
        "Where is {s} going on holiday?", "{s}: holiday destination",
        "Which country does {s} travel to for a vacation?", "Where does {s} spend the summer break?",
        "For this year's trip {s} has booked flights to", "where's {s} off to on vacation",
        "The postcard I received has a stamp that I cannot read, so in which foreign land is {s} lying on the beach?",
        "{s} vacation abroad",
    )),
    Topic("pet", "person", "person", (
        "What is {s}'s pet called?", "{s}: name of pet", "What name does {s}'s dog answer to?",
        "What does {s} shout in the park to call the animal back?", "The four-legged friend of {s} is named",
        "whats {s}'s dog called",
        "I am feeding the animal while its owner is abroad, and it would help to know what {s} calls it.",
        "{s} pet name",
    )),
    Topic("share_capital", "company", "price", (
        "How high is the share capital of {s}?", "{s}: share capital",
        "How much money did the shareholders pay into {s}?", "With what capital is {s} registered?",
        "The nominal capital of {s} stands at", "whats {s}'s registered capital",
        "The notary wants to see the amount put in by the owners of {s} when it was entered in the commercial "
        "register.", "{s} nominal capital",
    )),
    Topic("parent", "company", "company", (
        "Who owns {s}?", "{s}: parent firm", "Which group does {s} belong to?",
        "Of what larger business is {s} a subsidiary?", "All shares in {s} are held by",
        "who's behind {s}, which parent",
        "Somewhere above them there is a holding that pulls the strings, and I am trying to find out which one has "
        "bought {s}.", "{s} parent group",
    )),
    Topic("subsidiary", "company", "company", (
        "Which daughter firm does {s} have?", "{s}: subsidiary", "Which business has been swallowed by {s}?",
        "What other firm does {s} control?", "The smaller company that {s} owns outright is",
        "what firm did {s} buy up",
        "In the annual report there is a chart with a little box hanging beneath {s}, and I cannot make out which "
        "business it stands for.", "{s} daughter company",
    )),
    Topic("slogan", "company", "book", (
        "What is the slogan of {s}?", "{s}: motto", "With which words does {s} advertise?",
        "What catchphrase comes at the end of every commercial for {s}?", "Under the logo of {s} you read the words",
        "whats {s}'s tagline",
        "There is this jingle that has been stuck in my head since Sunday; what is it that they sing about {s}?",
        "{s} advertising motto",
    )),
    Topic("holiday_closure", "company", "date", (
        "From what day is {s} closed for the holidays?", "{s}: holiday closure",
        "When does {s} shut down for the summer break?", "On what date do the staff of {s} all go on leave?",
        "The works holiday at {s} begins on", "when's {s} shut for vacation",
        "We have to hand in our drawings before everyone disappears to the beach, so when does {s} send the whole "
        "staff on leave?", "{s} annual shutdown date",
    )),
    Topic("union", "company", "company", (
        "Which union represents the staff of {s}?", "{s}: trade union", "With whom does {s} negotiate wages?",
        "Who calls the workers of {s} out on strike?", "Collective agreements at {s} are signed by",
        "what union are they in at {s}",
        "I have just started on the shop floor and would like to become a member of the union that speaks for people "
        "at {s}.", "{s} labour union",
    )),
    Topic("canteen", "company", "room", (
        "Where is the canteen of {s}?", "{s}: canteen", "In which room do they serve lunch at {s}?",
        "Where in the building can I eat when visiting {s}?", "At {s}, hot meals are dished up in",
        "where do you get lunch at {s}",
        "I am invited for a whole day of talks and should like to know where in the house {s} feeds its people at "
        "noon.", "{s} lunch room",
    )),
    Topic("vat_number", "company", "code", (
        "What is the VAT number of {s}?", "{s}: tax ID", "Under which number does the tax office know {s}?",
        "Which tax code do I put on an invoice to {s}?", "For value added tax {s} is registered as",
        "whats {s}'s tax number",
        "The bookkeeper sent the invoice back because the fiscal identification of {s} was missing in the header.",
        "{s} VAT ID",
    )),
    Topic("listed_year", "company", "year", (
        "When did {s} go public?", "{s}: year of flotation", "In which year were shares in {s} first traded?",
        "Since when can one buy {s} on the stock exchange?", "{s} was floated in", "what year was {s}'s ipo",
        "For the chart of the share I need its starting point, that is the year in which {s} was admitted to the "
        "exchange.", "{s} IPO year",
    )),
    Topic("founding_city", "company", "city", (
        "In which city was {s} founded?", "{s}: place of foundation", "In what town did it all begin for {s}?",
        "Where did {s} have its very first workshop?", "The cradle of {s} stood in",
        "where'd {s} get started, what town",
        "They moved the head office more than once, but I am after the town where {s} was set up in the first place.",
        "{s} first town cradle",
    )),
    Topic("supplier", "company", "company", (
        "Who supplies {s}?", "{s}: supplier", "From whom does {s} buy its parts?",
        "Which business provides {s} with raw materials?", "The trucks that unload at {s} every morning belong to",
        "where does {s} get its parts from",
        "If the strike goes on the shelves will be empty, so we ought to learn on whose shipments {s} depends.",
        "{s} main supplier",
    )),
    Topic("competitor", "company", "company", (
        "Who is the fiercest competitor of {s}?", "{s}: rival", "Which firm is {s} fighting for customers?",
        "Who is after the same clients as {s}?", "The business that takes most customers away from {s} is",
        "who's {s} up against",
        "Before we bid for the contract it would be wise to know which other house usually crosses swords with {s}.",
        "{s} rival firm",
    )),
    Topic("house_bank", "company", "company", (
        "Which bank does {s} use?", "{s}: bank", "Where does {s} keep its account?", "Who handles payments for {s}?",
        "From which bank did {s} get its loan?", "{s}'s money is deposited with", "who does {s} bank with",
        "The transfer bounced twice, so please tell me with which financial institution {s} holds its account.",
        "{s} house bank",
    )),
    Topic("spokesperson", "company", "person", (
        "Who speaks to the press for {s}?", "{s}: press contact",
        "Which person answers journalists' questions about {s}?",
        "Who reads out the statements of {s} in front of the cameras?", "The press officer of {s} is",
        "who does pr for {s}",
        "I am a reporter with a deadline at six and would like a comment, so whom at {s} do I quote?",
        "{s} spokesperson name",
    )),
    Topic("minimum_order", "company", "price", (
        "What is the minimum order value at {s}?", "{s}: minimum order",
        "For how much do I have to buy at least from {s}?", "From what amount does {s} accept an order at all?",
        "{s} will not process any order below", "how much do i have to spend at {s} minimum",
        "My basket holds a single pencil and the button stays grey, so what sum must I reach before {s} lets me check "
        "out?", "{s} smallest order value",
    )),
    Topic("free_shipping", "company", "price", (
        "From what amount does {s} ship free of charge?", "{s}: free shipping threshold",
        "How much must my basket be worth for {s} to waive the postage?", "When does {s} stop charging for postage?",
        "{s} pays the postage on purchases over", "how much for free shipping at {s}",
        "I would rather add another pair of socks than pay for postage; how full does my basket have to be at {s}?",
        "{s} postage waived from",
    )),
    Topic("payment_term", "company", "period", (
        "How long do I have to pay an invoice from {s}?", "{s}: payment term",
        "Within what time does {s} expect its money?", "When at the latest must bills from {s} be settled?",
        "Invoices issued by {s} fall due after", "how long till i gotta pay {s}",
        "We are a little short of cash at present, so how much time does {s} grant customers before a reminder goes "
        "out?", "{s} payment deadline",
    )),
    Topic("branches", "company", "count", (
        "How many branches does {s} have?", "{s}: number of shops", "In how many places does {s} run a store?",
        "How many outlets carry the sign of {s}?", "The network of {s} comprises this many outlets:",
        "how many stores has {s} got",
        "We want to hang a poster in each and every shop window, so how many locations does {s} run altogether?",
        "{s} branch count",
    )),
)  # fmt: skip
