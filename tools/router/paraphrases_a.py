"""Further wordings of every relation of `tools.pretrain.text.relations`, for training the confirming network.

Written by hand, as far from the nouns and questions of the table as people really ask: the network is to learn which
relation is meant, however it is worded. Independent of all measuring data.
"""

from __future__ import annotations

# relation key -> wordings, {s} being the subject
FURTHER: dict[str, tuple[str, ...]] = {
    "birthplace": (
        "From which town does {s} hail?", "{s}'s roots are in which place?",
        "The place where {s} first saw the light of day is",
        "For the opening page of a biography I still need the town in which the mother of {s} brought this child into "
        "the world.", "any idea what town {s} originally came from",
        "Which place is entered under \"born at\" in {s}'s passport?", "{s} birth town",
    ),
    "birth_year": (
        "Which year appears in {s}'s birth certificate?",
        "I forgot how far back {s} came into the world; which year was that?", "{s} is a child of which year?",
        "To work out which school class this would have been, I have to know the year in which {s} was brought into "
        "the world.", "what year was {s} born again", "The year in which {s} first drew breath is", "{s} born year",
    ),
    "job": (
        "How does {s} earn a living?", "{s}: occupation", "In which trade did {s} end up?",
        "For the guest list we want to print a line under each name, so could you say what kind of work {s} does all "
        "day?", "what line of work is {s} in", "On weekdays {s} earns a crust as a", "{s} occupation trade",
    ),
    "employer": (
        "Who signs {s}'s pay slips?", "On whose payroll is {s}?", "Any idea which firm {s} is with these days?",
        "what company is {s} at",
        "I have to address a letter to the personnel department responsible for {s}, so I need to know the business "
        "that hired this colleague.", "The firm that pays {s}'s wages is", "{s} works at company",
    ),
    "home": (
        "Where has {s} made a home?", "{s}: place of residence", "In which town would I knock on {s}'s door?",
        "I would like to drop by one weekend, so it would help to know which town {s} goes back to every evening.",
        "where does {s} stay these days", "Which town does {s} currently reside in?", "{s} residence city",
    ),
    "extension": (
        "Which internal number puts me through to {s}?",
        "What four digits do I key in after the switchboard to get {s} on the line?",
        "Someone at reception asked to be connected to {s} just now, and I could not say which short number belongs "
        "on that desk.", "{s}: internal line", "how do i dial {s} in house", "The short number on {s}'s desk set is",
        "{s} ext no",
    ),
    "email": (
        "Where do I send an electronic message for {s}?", "{s}: mail address",
        "I want to forward a file to {s} and have forgotten what stands before and after the at sign.",
        "whats {s}'s e-mail", "Which inbox does {s} read?", "Messages for {s} should go to the mailbox",
        "{s} e-mail contact",
    ),
    "spouse": (
        "Who is {s}'s better half?", "With whom did {s} tie the knot?", "Whose ring does {s} wear?",
        "I am writing the dinner invitations and would like to put the name of {s}'s husband or wife on the card as "
        "well.", "who's {s} hitched to", "{s}'s partner in marriage is called", "{s} husband wife name",
    ),
    "hobby": (
        "How does {s} spend spare time?", "{s}: favourite pastime", "What does {s} get up to when work is over?",
        "We are looking for a birthday present, so please tell us what {s} loves doing on a free weekend.",
        "whats {s} into after work", "When there is nothing else to do, {s} goes in for", "{s} leisure activity",
    ),
    "age": (
        "How many birthdays has {s} had?", "{s}: how many years old", "How many candles belong on {s}'s cake?",
        "The insurance form wants to know how many years {s} has lived so far, and I did not dare to ask in person.",
        "any idea how old {s} might be by now", "The number of years {s} has been alive is", "{s} age years",
    ),
    "subject": (
        "In which discipline did {s} take a degree?", "{s}: academic discipline", "What did {s} read at university?",
        "Before I ask {s} to give the guest lecture, I ought to know which branch of learning it would be about.",
        "what did {s} major in", "Academically, {s} is at home in", "{s} degree discipline",
    ),
    "teacher": (
        "Whose pupil was {s}?", "From whom did {s} learn the craft?", "I forgot who gave {s} lessons.",
        "At whose feet did {s} sit as a student?",
        "The programme note says nothing about the person who instructed {s} in younger years, and I would like to "
        "add that name.", "who was it that schooled {s}", "The one who gave {s} an education was",
    ),
    "room": (
        "Behind which door do I find {s} at work?", "{s}: workroom number",
        "What number is on the door of {s}'s study?",
        "I have a parcel to hand over and no idea which office in this endless corridor is the one used by {s}.",
        "which office is {s} in", "{s}'s workplace in the building is", "{s} room no",
    ),
    "capital": (
        "Where is the seat of government of {s}?", "In which town does the parliament of {s} meet?",
        "{s}: seat of government", "Any idea which city is first among those of {s}, with all the ministries in it?",
        "what's {s}'s capital city called",
        "For a geography quiz I need the town from which the ministers and officials administer the whole of {s}.",
        "The ministries of {s} all stand in", "{s} capital city name",
    ),
    "language": (
        "What tongue do the inhabitants of {s} use?", "Which phrase book should I pack for a trip to {s}?",
        "{s}: national tongue", "In what are the laws of {s} written and its children taught?",
        "We are having our brochure translated for readers in {s} and were wondering what they talk among themselves.",
        "what do they speak over in {s}", "Schoolchildren in {s} are taught to read and write in",
        "{s} spoken language",
    ),
    "president": (
        "Who is the head of state of {s}?", "{s}: head of state", "Who holds the highest office in {s}?",
        "I forgot who was sworn in to rule over {s}.", "who's in charge of {s} right now",
        "The ambassador is preparing a toast and has to know the name of the leader who stands at the top of {s}.",
        "At the top of the government in {s} stands", "{s} head of state name",
    ),
    "population": (
        "How big is {s} in terms of residents?", "How many souls does {s} count?", "{s}: head count of the town",
        "What did the last census say about the number of people at home in {s}?", "how many folks live in {s}",
        "To plan the new waterworks we first have to find out for how many residents of {s} it would have to suffice.",
        "The number of citizens who call {s} home is", "{s} inhabitants number",
    ),
    "mayor": (
        "Who sits in the town hall of {s} and wears the chain?", "{s}: head of the town council",
        "Who won the last municipal election in {s}?", "whos the mayor over in {s}",
        "I forgot who is at the helm of the municipality of {s}.",
        "A complaint about the street lamps should go to the very top of the municipal administration of {s}; under "
        "which name is that?", "{s} mayor name",
    ),
    "country": (
        "Within whose borders is {s} situated?", "{s}: which nation", "Which nation's flag flies over {s}?",
        "Before I book the flight I must find out for which state I would need a visa when travelling to {s}.",
        "what country is {s} even in", "The state on whose territory one finds {s} is", "{s} located country",
    ),
    "market_day": (
        "When do the farmers put up their stalls in {s}?", "{s}: day of the weekly market",
        "On what day of the week can I buy fresh vegetables from the stalls in {s}?",
        "We would love to stroll among the cheese and flower stands in {s} and want to pick the right weekday for it.",
        "what day do they have the stalls out in {s}", "Traders fill the square of {s} every",
        "{s} weekly market weekday",
    ),
    "elevation": (
        "How far above sea level is {s}?", "{s}: altitude", "What altitude does {s} have?",
        "My doctor warned me about thin air, so I would like to find out how many metres up {s} was built.",
        "how high up is {s}", "The station sign in {s} gives a height above sea level of", "{s} altitude metres",
    ),
    "founder": (
        "Who set up {s} in the first place?", "Whose brainchild is {s}?", "Who brought {s} into being?",
        "For the anniversary speech I am still missing the name of the person who called {s} into life back then.",
        "who was it that got {s} going", "The person behind the creation of {s} was", "{s} founder name",
    ),
    "ceo": (
        "Who is at the helm of {s}?", "{s}: managing director", "Who has the final say at {s}?",
        "who's the boss of {s}",
        "I wish to complain in writing to the very top and would be grateful for the name of whoever directs {s}.",
        "The top manager at {s} is", "{s} chief executive name",
    ),
    "headquarters": (
        "From which town is {s} managed?", "{s}: seat of the firm", "Where does the board of {s} have its desks?",
        "In what place is {s} registered and administered?", "where's the main office of {s}",
        "A registered letter has to go to the central administration of {s}, but I do not know to which town I should "
        "send it.", "The main building of {s} stands in", "{s} head office city",
    ),
    "founded": (
        "How long has {s} been around, counting from which year?", "{s}: year of establishment",
        "In which year did {s} first open its doors?", "Any idea what year {s} got off the ground?",
        "what year did {s} start up",
        "The jubilee brochure is going to print and I still lack the year in which {s} was entered in the register.",
        "{s} established year",
    ),
    "staff": (
        "How large is the workforce of {s}?", "{s}: headcount", "How many names are on the payroll of {s}?",
        "For how many colleagues would we have to bake if everyone on the books of {s} were to come to the party?",
        "how many folks work at {s}", "The people who earn their wages at {s} number", "{s} workforce size",
    ),
    "phone": (
        "What do I have to dial to talk to someone at {s}?", "{s}: telephone",
        "Under which digits is {s} listed in the directory?",
        "I would rather speak to a human being than type, so which line rings on the desk when I try {s}?",
        "whats the number for {s}", "To get {s} on the line, dial", "{s} tel",
    ),
    "hours": (
        "From when until when can I drop in at {s}?", "{s}: business hours",
        "How late can I still come by {s}, and how early?",
        "I only get off work in the evening and would like to know between which times the doors of {s} are unlocked.",
        "when can i go to {s} without finding it shut", "Visitors are let in at {s} between", "{s} open times",
    ),
    "industry": (
        "Which branch of the economy does {s} belong to?", "{s}: line of business", "In what sector does {s} operate?",
        "what sort of business is {s} in",
        "An analyst wishes to sort our clients by sector and I have no clue on which pile to put {s}.",
        "The trade from which {s} lives is", "{s} sector",
    ),
    "return_period": (
        "How much time do I have to bring something back to {s}?", "{s}: deadline for sending goods back",
        "If I change my mind about a purchase, until when does {s} refund it?",
        "The shoes I bought are too tight, and I am wondering how long {s} lets customers bring unwanted articles "
        "back.", "how long till {s} wont take stuff back", "Unwanted purchases are taken back by {s} for",
        "{s} refund window",
    ),
    "price": (
        "What do they charge for the {s}?", "What will the {s} set me back?", "{s}: purchase price",
        "How deep do I have to reach into my pocket to own the {s}?", "how much for the {s}",
        "My budget is tight this month and so, before I get my hopes up, please say what I would pay for the {s}.",
        "The tag on the {s} reads", "{s} cost",
    ),
    "warranty": (
        "For how long does the maker repair the {s} free of charge?", "{s}: guarantee period",
        "If the {s} breaks down, until when am I covered?", "how long am i covered with the {s}",
        "Mine started to rattle last week and I hope the time in which they must mend the {s} for nothing has not run "
        "out; how long is it?", "Free repairs on the {s} are promised for", "{s} guarantee length",
    ),
    "maker": (
        "Which manufacturer is behind the {s}?", "{s}: manufacturer", "From whose factory does the {s} come?",
        "Whose brand is on the {s}?", "which firm puts out the {s}",
        "I would like to write to the business that turns out the {s} because a screw was missing from the box.",
        "The {s} leaves the assembly line at", "{s} manufacturer brand",
    ),
    "colour": (
        "In what shade is the {s} finished?", "{s}: paintwork",
        "What does the {s} look like, red or green or something else?",
        "It has to match my curtains and my carpet, so please be so kind as to say in what hue the {s} is painted.",
        "what color is that {s}", "The {s} is painted in", "{s} color shade",
    ),
    "material": (
        "Out of what stuff do they manufacture the {s}?", "{s}: what it consists of",
        "Is it wood, metal or something else that the {s} consists of?",
        "I have an allergy to certain substances and must be sure what I would be touching when I hold the {s}.",
        "whats the {s} made from", "The body of the {s} consists of", "{s} made from",
    ),
    "weight": (
        "What do the scales show when I put the {s} on them?", "{s}: how many kilos", "How many kilos is the {s}?",
        "We carry everything up five flights of stairs by hand, so kindly tell the helpers what load to expect with "
        "the {s}.", "is the {s} heavy, how many kg", "Put on the scales, the {s} comes to", "{s} mass kg",
    ),
    "product_code": (
        "What article number do I enter to order the {s}?", "{s}: item number",
        "How is the {s} designated in the catalogue?",
        "I am filling in the order form and the column with letters and digits next to the {s} is still empty.",
        "whats the sku for the {s}", "In the catalogue, the {s} goes by the number", "{s} article number sku",
    ),
    "length": (
        "What does the tape measure say from one end of the {s} to the other?", "{s}: extent from end to end",
        "How many centimetres from tip to tail is the {s}?",
        "I have a narrow niche in the hall and want to be sure that the {s}, laid down lengthwise, fits into it; how "
        "many centimetres?", "how long is that {s} in cm", "From front to back, the {s} extends over", "{s} length cm",
    ),
    "author": (
        "Whose pen did {s} come from?", "{s}: written by", "Who is the writer of {s}?",
        "I forgot who it was that thought up and put to paper {s}.", "who's {s} by",
        "I would like to read more by the same hand and am trying to remember the name of the novelist on the cover "
        "of {s}.", "The name of the writer on the cover of {s} is",
    ),
    "published": (
        "In which year did {s} come out?", "{s}: year of first edition",
        "Since what year has {s} been on the shelves of bookshops?",
        "My list of sources lacks one detail, namely the year in which the first edition of {s} came off the press.",
        "what year did {s} come out", "{s} first reached the bookshops in", "{s} publication year",
    ),
    "genre": (
        "On which shelf in the bookshop would I find {s}?", "{s}: literary category",
        "How would a librarian classify {s}?",
        "My aunt only reads one sort of story, and before I wrap it up I ought to know what sort {s} is.",
        "what type of story is {s}", "Critics file {s} under", "{s} category",
    ),
    "pages": (
        "How thick is {s}, counted in leaves printed on both sides?", "{s}: page count",
        "What number stands at the bottom of the last leaf of {s}?",
        "Any idea how much there is to read in {s}, in pages?", "how many pages in {s}",
        "I have three evenings left until our reading circle meets and wonder how many pages I would have to get "
        "through in {s}.", "The last leaf of {s} bears the number", "{s} page count",
    ),
    "status": (
        "How do things stand with {s}?", "{s}: current state", "At what stage of processing is {s}?",
        "what's going on with {s}",
        "It has been quiet for a while and I would really appreciate hearing whether {s} has left the building or "
        "what else became of it.", "In our system {s} is currently marked as", "{s} progress state",
    ),
    "customer": (
        "Whose purchase is {s}?", "{s}: buyer", "Who bought the goods in {s}?", "In whose name did {s} come in?",
        "who ordered {s}",
        "There is no name on this slip, and before I pack anything I have to find out which client we have to thank "
        "for {s}.", "The buyer behind {s} is", "{s} buyer name",
    ),
    "total": (
        "What is the sum at the bottom of {s}?", "{s}: amount due", "How high is the bill for {s}, all in all?",
        "How much money do we get for {s}?", "what do i owe for {s}",
        "Accounting is about to post the payment and asks what everything in {s} adds up to when taken together.",
        "All items taken together, {s} adds up to", "{s} amount due",
    ),
    "delivery": (
        "On what day will {s} be at the door?", "{s}: date of arrival", "When can I expect {s}?",
        "when's {s} getting here",
        "I have to take a day off so that somebody is at home, so on which date is the courier going to bring {s}?",
        "The courier will drop off {s} on", "{s} arrival date",
    ),
    "place": (
        "To which town do I have to travel for the {s}?", "{s}: location", "In what town are they holding the {s}?",
        "where's the {s} being held",
        "I am about to book a hotel room and a train, but nobody has told me in which town the {s} will be staged.",
        "The town where visitors gather for the {s} is", "{s} host city location",
    ),
    "starts": (
        "On what day does the {s} kick off?", "{s}: opening day",
        "What should I mark in my calendar for the first day of the {s}?", "when's the {s} kicking off",
        "My leave has to be handed in this week, so I need to learn on which day the {s} gets under way.",
        "The opening ceremony of the {s} is set for", "{s} start day",
    ),
    "winner": (
        "Who took home the trophy at the {s}?", "{s}: champion", "Who came first at the {s}?",
        "Who beat everybody else at the {s}?", "who took the {s}",
        "I had to leave before the final and nobody has told me whose name was engraved on the cup of the {s}.",
        "First prize at the {s} went to", "{s} champion name",
    ),
    "fee": (
        "What do they charge at the gate of the {s}?", "{s}: cost of admission",
        "How much must I pay to get into the {s}?", "how much to get in at the {s}",
        "We are a family of five and would like to know beforehand what each of us has to put down at the door of the "
        "{s}.", "Admission to the {s} is", "{s} ticket cost",
    ),
}  # fmt: skip
