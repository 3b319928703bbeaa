"""Further topics about books, orders, events, contracts and laws: see `tools.router.paraphrases`."""

from __future__ import annotations

from .paraphrases_topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic("publisher", "book", "company", (
        "Who published {s}?", "{s}: publisher", "At which publishing house did {s} appear?",
        "Who brought {s} onto the market?", "Whose logo is on the spine of {s}?",
        "The rights to {s} lie with the house of", "which press put out {s}",
        "I would like to ask for permission to print a passage and need to know which house holds the rights to {s}.",
    )),
    Topic("translator", "book", "person", (
        "Who translated {s}?", "{s}: translator", "Who put {s} into our language?",
        "Through whose words do foreign readers know {s}?", "The foreign edition of {s} was rendered by",
        "who did the translation of {s}",
        "The dialogue reads so naturally that I want to praise whoever carried {s} over from the original tongue.",
        "{s} translated by",
    )),
    Topic("illustrator", "book", "person", (
        "Who illustrated {s}?", "{s}: pictures by", "Who drew the pictures in {s}?", "Whose drawings adorn {s}?",
        "The ink drawings between the chapters of {s} are by", "who did the art in {s}",
        "My daughter adores the foxes in the margins and would like to know whose brush the pictures in {s} come "
        "from.", "{s} illustrations artist",
    )),
    Topic("editor", "book", "person", (
        "Who edited {s}?", "{s}: editor", "Who revised the manuscript of {s} before it was printed?",
        "Who cut and polished the text of {s}?", "Whose red pencil went over {s}?",
        "The manuscript of {s} was corrected by", "who was the editor on {s}",
        "Every sentence seems to have been weighed twice, so who was it that worked through the draft of {s} with the "
        "writer?",
    )),
    Topic("narrator", "book", "person", (
        "Who reads the audio version of {s}?", "{s}: read by", "Whose voice do we hear in the recording of {s}?",
        "Which actor lent a voice to the audiobook of {s}?", "On the recording, {s} is read aloud by",
        "who narrates {s} on audio",
        "I listened to it all the way to the coast and could have gone on for hours; who is that speaking {s}?",
        "{s} audiobook voice",
    )),
    Topic("dedication", "book", "person", (
        "To whom is {s} dedicated?", "{s}: dedication", 'Whose name stands after "for" on the first leaf of {s}?',
        "Whom did the writer wish to honour with {s}?", "The line in italics at the front of {s} honours",
        "who's {s} dedicated to",
        "Right after the title there is a tender little line to someone; for which person was {s} meant?",
        "{s} dedicated to",
    )),
    Topic("main_character", "book", "person", (
        "Who is the main character of {s}?", "{s}: protagonist", "Who is the hero of {s}?",
        "Around whom does the plot of {s} turn?", "Whose adventures do we follow in {s}?",
        "The story of {s} revolves around", "whos the hero in {s}",
        "I have to write a book report tonight and have only skimmed it, so which figure stands at the heart of {s}?",
        "{s} protagonist name",
    )),
    Topic("villain", "book", "person", (
        "Who is the villain in {s}?", "{s}: antagonist", "Who makes life hard for the hero of {s}?",
        "Which character in {s} is up to no good?", "The evil schemes in {s} are hatched by",
        "whos the bad guy in {s}",
        "We are casting the play and nobody wants the wicked part, so which figure in {s} is the scoundrel?",
        "{s} evil character",
    )),
    Topic("setting", "book", "city", (
        "Where is {s} set?", "{s}: setting", "In which town does the story of {s} take place?",
        "Through the streets of what place do the characters of {s} wander?", "The plot of {s} unfolds in",
        "where does {s} play out",
        "I would love to walk in the footsteps of the characters, so in which town do the scenes of {s} happen?",
        "{s} story location",
    )),
    Topic("isbn", "book", "code", (
        "What is the ISBN of {s}?", "{s}: ISBN", "Under what number can a bookshop order {s}?",
        "Which digits are above the barcode on the back of {s}?", "Bookshops order {s} by quoting", "whats {s}'s isbn",
        "There are several editions around and the seller wants the standard number from the back cover of {s} to get "
        "it right.", "{s} book number barcode",
    )),
    Topic("sequel", "book", "book", (
        "What is the sequel to {s} called?", "{s}: sequel", "Which volume comes after {s}?",
        "What should I read next once I have finished {s}?", "The story of {s} is continued in",
        "whats the next one after {s}",
        "It ended on a cliffhanger and I cannot bear the suspense; under what title does the tale go on after {s}?",
        "{s} next volume",
    )),
    Topic("print_run", "book", "count", (
        "How many copies of {s} were printed?", "{s}: print run", "How large was the first run of {s}?",
        "How many times did the press stamp out {s}?", "The printers ran off this many copies of {s}:",
        "how many copies did they print of {s}",
        "Collectors pay more for rare things, so it would be nice to learn in how many copies {s} exists.",
        "{s} copies printed",
    )),
    Topic("original_language", "book", "language", (
        "In what language was {s} originally written?", "{s}: original language",
        "Out of which tongue was {s} translated?", "Which tongue did the writer use when composing {s}?",
        "Before any translation was made, {s} existed only in", "what language was {s} in at first",
        "I would rather read it untranslated if I can manage, so in which tongue did the writer set down {s}?",
        "{s} untranslated version tongue",
    )),
    Topic("carrier", "order", "company", (
        "Which carrier is bringing {s}?", "{s}: carrier", "Who delivers {s}?",
        "Which parcel service has {s} on its van?", "Into whose hands was {s} given for transport?",
        "For transport, {s} was handed over to", "who's shipping {s}",
        "I keep looking out of the window and would like to know the colour of the van, or rather which service "
        "brings {s}.",
    )),
    Topic("delivery_address", "order", "city", (
        "To which town is {s} going?", "{s}: delivery address", "Where is {s} to be sent?",
        "What destination is on the label of {s}?", "The label on the parcel sends {s} to",
        "where's {s} being shipped to",
        "I moved in spring and fear that the parcel goes to my old place, so what destination have you noted for {s}?",
        "{s} ship-to town",
    )),
    Topic("order_discount", "order", "percent", (
        "What discount was granted on {s}?", "{s}: rebate", "By what percentage was the bill for {s} cut?",
        "How much did the voucher take off {s}?", "Thanks to the voucher, {s} became cheaper by",
        "how much off did i get on {s}",
        "I typed in the voucher code but am not certain that it worked; what reduction has been applied to {s}?",
        "{s} rebate percent",
    )),
    Topic("invoice_number", "order", "code", (
        "What is the invoice number of {s}?", "{s}: invoice number", "Under which number was {s} billed?",
        "Which reference should I quote when I transfer the money for {s}?",
        "The bill belonging to {s} carries the number", "whats the invoice no for {s}",
        "The bank form has a line for the reference and I cannot find the paper that was sent along with {s}.",
        "{s} bill reference",
    )),
    Topic("tracking_number", "order", "code", (
        "What is the tracking number of {s}?", "{s}: tracking code", "With which code can I follow {s} on its way?",
        "What do I type in on the carrier's page to see where {s} is?",
        "You can trace {s} on the carrier's page by entering", "tracking no for {s} pls",
        "The parcel service will not tell me anything unless I give them the code from the label that was stuck on "
        "{s}.", "{s} parcel trace code",
    )),
    Topic("packaging", "order", "material", (
        "In what is {s} packed?", "{s}: packaging", "Into what kind of box do we put {s}?",
        "What wrapping was used for {s}?", "For the journey, {s} was wrapped in", "whats {s} wrapped in",
        "I sort my rubbish with great care and should like to know which bin the wrapping of {s} belongs in, so what "
        "is it?", "{s} wrapping type",
    )),
    Topic("shipping_fee", "order", "price", (
        "How much postage was charged on {s}?", "{s}: postage", "What did sending {s} cost?",
        "How much of the bill for {s} is for freight?", "On {s}, freight was billed at",
        "how much was shipping on {s}",
        "The goods themselves were cheap, but there is another line further down; what do you demand for transporting "
        "{s}?", "{s} freight cost",
    )),
    Topic("order_date", "order", "date", (
        "When was {s} placed?", "{s}: order date", "On what day did {s} come in?",
        "On which date did the customer click on buy for {s}?", "{s} reached us on", "when did i place {s}",
        "My bank statement lists several payments and I am trying to match them, so on which day was {s} submitted?",
        "{s} submitted on",
    )),
    Topic("dispatch_date", "order", "date", (
        "When was {s} handed to the carrier?", "{s}: dispatch date", "On what day did {s} leave the warehouse?",
        "When did you send {s} off?", "{s} left our warehouse on", "when did {s} go out",
        "I am not asking when it gets here but on which day the boxes of {s} were loaded onto the lorry.",
        "{s} sent off date",
    )),
    Topic("clerk", "order", "person", (
        "Who is handling {s}?", "{s}: clerk in charge", "Which colleague processes {s}?", "To whose desk did {s} go?",
        "With whom can I speak about a mistake in {s}?", "In our office, {s} is being looked after by",
        "whos dealing with {s}",
        "I have been passed from one colleague to the next all morning; who is it that really takes care of {s}?",
    )),
    Topic("parcels", "order", "count", (
        "In how many parcels does {s} come?", "{s}: number of parcels", "How many boxes belong to {s}?",
        "How many packages should I count when {s} is unloaded?", "{s} has been split into this many boxes:",
        "how many boxes is {s}",
        "The driver has just put a heap of cartons in my hall and I must sign for them, so how many make up {s}?",
        "{s} how many cartons",
    )),
    Topic("sponsor", "event", "company", (
        "Who sponsors the {s}?", "{s}: sponsor", "Whose logo hangs over the stage of the {s}?",
        "Which business pays for the {s}?", "The {s} is financed by", "whos paying for the {s}",
        "On every banner and every cup one sees the same emblem; which business gives the money for the {s}?",
        "{s} main sponsor",
    )),
    Topic("organiser", "event", "person", (
        "Who organises the {s}?", "{s}: organiser", "Who pulls the strings behind the {s}?",
        "To whom do I turn to offer my help at the {s}?", "Planning for the {s} is in the hands of",
        "who's running the {s}",
        "I would like to put up a stall and sell waffles, so with whom must I agree on that for the {s}?",
        "{s} who plans it",
    )),
    Topic("opening_speaker", "event", "person", (
        "Who gives the opening speech at the {s}?", "{s}: keynote speaker", "Whose talk starts off the {s}?",
        "Who will be first at the lectern of the {s}?", "The first words on the stage of the {s} are spoken by",
        "whos doing the keynote at the {s}",
        "I am preparing the name card for the lectern and the water glass; which guest addresses the audience first "
        "at the {s}?", "{s} first speaker",
    )),
    Topic("dress_code", "event", "colour", (
        "Which colour are guests of the {s} asked to wear?", "{s}: dress code",
        "What am I supposed to wear to the {s}?", "In what should one turn up at the {s}?",
        "Visitors of the {s} are requested to come dressed in", "what do i wear to the {s}",
        "I do not want to stick out like a sore thumb, so which colour should my suit be for the {s}?",
        "{s} outfit colour",
    )),
    Topic("guests", "event", "count", (
        "How many guests are expected at the {s}?", "{s}: number of guests", "How many visitors does the {s} draw?",
        "For how many people should we lay tables at the {s}?", "The crowd at the {s} is put at",
        "how many people come to the {s}",
        "The caterer has to buy bread and sausages and asks with how many mouths he should reckon at the {s}.",
        "{s} attendance",
    )),
    Topic("start_time", "event", "hours", (
        "Between what times of day does the {s} run?", "{s}: daily times",
        "At what hour do the doors of the {s} open and when do they close?",
        "From what time in the morning can I get into the {s}?", "The gates of the {s} stay open each day from",
        "what time is the {s} on",
        "My babysitter wants to be told exactly at which o'clock it begins and ends, so how does a day at the {s} "
        "run?", "{s} daily hours",
    )),
    Topic("end_date", "event", "date", (
        "When does the {s} end?", "{s}: last day", "On what day is the {s} over?",
        "Until which date can I still visit the {s}?", "The {s} closes its gates for good on", "when's the {s} over",
        "I am abroad for the first days and hope to catch at least the finish, so what is the closing day of the {s}?",
        "{s} final day",
    )),
    Topic("registration_deadline", "event", "date", (
        "By when must I register for the {s}?", "{s}: registration deadline",
        "What is the last day to sign up for the {s}?", "Until what date are entries for the {s} accepted?",
        "Those who want to take part in the {s} must sign up by", "till when can i sign up for the {s}",
        "My team still lacks two players, so how much longer may we hand in our names for the {s}?",
        "{s} sign-up closes",
    )),
    Topic("prize_money", "event", "price", (
        "How much prize money is there at the {s}?", "{s}: prize money", "What does the best at the {s} get paid?",
        "How big is the cheque for first place at the {s}?", "Whoever comes out on top at the {s} pockets",
        "how much do you win at the {s}",
        "We are training like mad and dream of a new minibus, so what sum is waiting for the best team of the {s}?",
        "{s} winner's cheque",
    )),
    Topic("first_held", "event", "year", (
        "In which year was the {s} first held?", "{s}: first edition", "Since when has there been a {s}?",
        "How old a tradition is the {s}, going back to which year?", "The very first {s} was staged in",
        "what year did they first do the {s}",
        "A faded poster in the attic advertises the one with which it all began; from which year must the original "
        "{s} be?", "{s} first ever year",
    )),
    Topic("hall", "event", "room", (
        "In which hall is the {s}?", "{s}: hall", "Which room in the building do I go to for the {s}?",
        "Behind what door is the {s} going on?", "Follow the signs to the {s} and you will end up in",
        "what room's the {s} in",
        "I am already inside the building and running in circles along the corridors, so where exactly do they meet "
        "for the {s}?", "{s} which room",
    )),
    Topic("contract_notice", "code", "period", (
        "How much notice must be given to end contract {s}?", "contract {s}: notice period",
        "How long before leaving do I have to cancel contract {s}?",
        "How far ahead must I hand in my termination of contract {s}?",
        "Contract {s} can be terminated with notice of", "how long's the notice on contract {s}",
        "I have found a better offer and want to get out of contract {s}; how long will I be bound after writing the "
        "letter?", "contract {s} cancellation period",
    )),
    Topic("contract_end", "code", "date", (
        "When does contract {s} expire?", "contract {s}: end date", "Until what day does contract {s} run?",
        "On which date does contract {s} cease to be valid?", "Contract {s} remains in force until",
        "when's contract {s} up",
        "We ought to start talks about a renewal in good time, so on which day will contract {s} run out?",
        "contract {s} expiry",
    )),
    Topic("contract_signed", "code", "date", (
        "When was contract {s} signed?", "contract {s}: date of signature",
        "On what day did both sides put their names under contract {s}?",
        "Which date stands beside the signatures on contract {s}?", "The ink on contract {s} dried on",
        "when did we sign contract {s}",
        "A lawyer asks since when the two of us have been bound, so I am looking for the day on which contract {s} "
        "was concluded.", "contract {s} signing date",
    )),
    Topic("contract_partner", "code", "company", (
        "With whom was contract {s} made?", "contract {s}: other party",
        "Which firm is on the other side of contract {s}?", "Whose stamp is beside ours on contract {s}?",
        "In contract {s}, our counterpart is", "who's contract {s} with",
        "I found a stack of papers without a cover sheet; which business made this deal with us under contract {s}?",
        "contract {s} counterparty",
    )),
    Topic("policy_premium", "code", "price", (
        "How much is the premium for policy {s}?", "policy {s}: premium", "What do I pay the insurer for policy {s}?",
        "What sum is debited for policy {s}?", "Being covered under policy {s} costs",
        "how much do i pay on policy {s}",
        "I am comparing offers and need the sum that leaves my account for being insured under policy {s}.",
        "policy {s} premium amount",
    )),
    Topic("policy_excess", "code", "price", (
        "How high is the excess on policy {s}?", "policy {s}: deductible",
        "What part of any damage do I bear myself under policy {s}?",
        "How much must I pay out of my own pocket before policy {s} steps in?",
        "Under policy {s} the insured person bears the first", "whats the deductible on policy {s}",
        "A hailstorm has dented the roof and I am wondering which share of the repair policy {s} leaves to me.",
        "policy {s} own share of damage",
    )),
    Topic("law_in_force", "code", "date", (
        "When did law {s} come into force?", "law {s}: effective date",
        "From what day on does law {s} have to be obeyed?", "Since when has law {s} applied?",
        "Law {s} has been binding since", "when did law {s} kick in",
        "The accident happened some time ago and it matters whether the rule already applied, so from what date was "
        "law {s} effective?", "law {s} applies since",
    )),
    Topic("law_penalty", "code", "price", (
        "What fine does law {s} threaten?", "law {s}: penalty", "How much must you pay for breaking law {s}?",
        "What does an offence against law {s} cost?", "Anyone who violates law {s} will be fined",
        "whats the fine under law {s}",
        "Nobody was hurt, but I did not stick to the rules, so what sum might the judge demand under law {s}?",
        "law {s} fine amount",
    )),
    Topic("setting_default", "code", "count", (
        "What is the default value of setting {s}?", "setting {s}: default",
        "To what is option {s} set out of the box?", "What number does the program assume if I leave {s} empty?",
        "Unless you change it, setting {s} stays at", "whats {s} set to by default",
        "I have fiddled with the options until nothing worked and would like to put parameter {s} back to what it was "
        "at first.", "{s} factory value",
    )),
    Topic("setting_limit", "code", "count", (
        "What is the highest value allowed for setting {s}?", "setting {s}: maximum",
        "How far up can I turn option {s}?", "Beyond which number does the program refuse a value for {s}?",
        "Setting {s} accepts numbers up to", "how high can {s} go",
        "Whenever I enter a large number I get a red error, so where does the upper bound of parameter {s} lie?",
        "{s} max value",
    )),
    Topic("machine_operator", "product", "person", (
        "Who operates the {s} in the workshop?", "{s}: operator", "Who is allowed to run the {s}?",
        "Whose task is it to work the {s}?", "At the controls of the {s} stands", "who's working the {s}",
        "There are metal shavings all over the floor and I would like a word with whoever was put in charge of "
        "running the {s}.", "{s} run by whom",
    )),
    Topic("machine_location", "product", "room", (
        "In which room is the {s} kept?", "{s}: where it stands", "Where in the building do I find the {s}?",
        "Behind which door have they set up the {s}?", "When nobody needs it, the {s} is stored in",
        "where's the {s} kept",
        "I have been searching all the cupboards on two floors for it, so in what room did somebody put the {s}?",
        "{s} storage room",
    )),
)  # fmt: skip
