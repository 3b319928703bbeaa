"""Further topics about products, cities and countries: see `tools.router.paraphrases`."""

from __future__ import annotations

from .paraphrases_topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic("deposit", "product", "price", (
        "How high is the deposit on the {s}?", "{s}: deposit", "What security do I leave behind when I rent the {s}?",
        "How much do I get back when I return the {s} undamaged?", "Whoever borrows the {s} first has to leave",
        "whats the deposit for the {s}",
        "I only wish to hire it for one weekend; which sum do you hold back until the {s} is returned in one piece?",
        "{s} security deposit",
    )),
    Topic("shipping_cost", "product", "price", (
        "How much is the postage for the {s}?", "{s}: shipping cost", "What do you charge for sending the {s} to me?",
        "What comes on top of the price of the {s} for having it sent?",
        "Having the {s} mailed to your door costs an extra", "how much is shipping on the {s}",
        "I have found it cheaper elsewhere, but they add a lot for the parcel, so what does posting the {s} cost with "
        "you?", "{s} postage price",
    )),
    Topic("rent", "product", "price", (
        "What does it cost to hire the {s}?", "{s}: rental fee",
        "How much do you charge per day for lending out the {s}?",
        "What do I pay if I only borrow the {s} instead of buying it?", "The {s} can be rented for",
        "how much to rent the {s}",
        "It makes no sense for me to own one, so how much would a single day with a borrowed {s} be?",
        "{s} daily hire rate",
    )),
    Topic("discount", "product", "percent", (
        "How much off do I get on the {s}?", "{s}: discount", "By what percentage has the {s} been reduced?",
        "How big is the rebate on the {s}?", "In the sale, the {s} has been marked down by",
        "whats the discount on the {s}",
        "There is a red sticker on the box but the figure is smudged; by how much did they lower what one pays for "
        "the {s}?", "{s} markdown percent",
    )),
    Topic("width", "product", "length", (
        "How wide is the {s}?", "{s}: width", "How much room does the {s} take up from left to right?",
        "What is the distance between the two sides of the {s}?",
        "From its left edge to its right edge, the {s} spans", "how wide's the {s}",
        "The doorway is rather narrow and I want to be sure that I can get the {s} through without scratching the "
        "frame.", "{s} breadth",
    )),
    Topic("height", "product", "length", (
        "How tall is the {s}?", "{s}: height", "How far does the {s} reach up from the floor?",
        "How much space must there be above the shelf for the {s} to stand upright?",
        "From its foot to its top, the {s} rises", "how tall is that {s}",
        "I would like to put it under a sloping roof and worry that the top of the {s} will bump against the beam.",
        "{s} height cm",
    )),
    Topic("depth", "product", "length", (
        "How deep is the {s}?", "{s}: depth", "How far does the {s} stick out from the wall?",
        "How far does the {s} reach from the front edge to the back?",
        "Pushed against the wall, the {s} juts out into the room by", "how deep's the {s}",
        "The shelf is shallow and I would not like the {s} to hang over the edge; how far does it come forward?",
        "{s} depth cm",
    )),
    Topic("voltage", "product", "count", (
        "What voltage does the {s} need?", "{s}: volts", "On how many volts does the {s} run?",
        "What kind of socket supply does the {s} call for?", "Plug the {s} only into a supply of this many volts:",
        "how many volts is the {s}",
        "I am taking it abroad, where the mains are different, and must not fry it; what electrical tension was the "
        "{s} built for?", "{s} mains voltage",
    )),
    Topic("power", "product", "count", (
        "How many watts does the {s} draw?", "{s}: wattage", "How much electricity does the {s} use?",
        "How powerful is the motor of the {s}, in watts?", "When switched on, the {s} consumes this many watts:",
        "how many watts is the {s}",
        "The fuse blows every time I plug in a second machine, so I am adding up the consumption; what does the {s} "
        "contribute?", "{s} power consumption",
    )),
    Topic("noise", "product", "count", (
        "How loud is the {s}?", "{s}: noise level", "How many decibels does the {s} give off?",
        "What racket does the {s} make when it is running, in decibels?",
        "At full speed, the {s} hums with a sound level of", "is the {s} loud, how many decibels",
        "My neighbours are light sleepers and the walls are thin, so how much din would the {s} make at night?",
        "{s} decibels",
    )),
    Topic("battery_life", "product", "period", (
        "How long does the battery of the {s} last?", "{s}: battery life",
        "How long does the {s} keep going without a socket?", "After what time do I have to recharge the {s}?",
        "On one charge, the {s} runs for", "how long till the {s} needs charging",
        "I shall be hiking far from any wall socket, so how much time will pass before the {s} goes flat?",
        "{s} battery runtime",
    )),
    Topic("service_interval", "product", "period", (
        "How often does the {s} have to be serviced?", "{s}: maintenance interval",
        "After how long should a technician look at the {s}?",
        "At what intervals must the {s} be inspected and oiled?", "The {s} is due for a check-up every",
        "how often do i service the {s}",
        "I have lost the booklet in which the workshop stamps each visit, so what span lies between two services of "
        "the {s}?", "{s} service schedule",
    )),
    Topic("installation_time", "product", "period", (
        "How long does it take to install the {s}?", "{s}: installation time",
        "How much time do the fitters need to set up the {s}?",
        "How long until the {s} is assembled and ready for use?", "Fitting the {s} takes the mechanics",
        "how long to put up the {s}",
        "We must close the kitchen while the workers are at it; how much time should we reckon with until the {s} is "
        "in place?", "{s} setup duration",
    )),
    Topic("spare_part", "product", "code", (
        "What is the number of the spare part for the {s}?", "{s}: spare part",
        "Which replacement piece fits the {s}?", "Under what number can I order a new seal for the {s}?",
        "If a piece of the {s} breaks, reorder it as", "whats the spare part no for the {s}",
        "A little wheel has snapped off and the shop asks me for the designation of the replacement that goes into "
        "the {s}.", "{s} replacement part no",
    )),
    Topic("certification", "product", "code", (
        "Which certificate does the {s} hold?", "{s}: certification", "To what safety standard was the {s} tested?",
        "What mark of approval did the inspectors give the {s}?", "The {s} is certified according to",
        "what standard does the {s} meet",
        "The building inspector wants proof that everything has been tested, so which approval number applies to the "
        "{s}?", "{s} test certificate",
    )),
    Topic("safety_notice", "product", "code", (
        "Under which number did they publish the safety notice on the {s}?", "{s}: recall notice",
        "Which recall concerns the {s}?", "What is the reference of the warning issued about the {s}?",
        "The danger posed by the {s} is described in bulletin", "is there a recall on the {s}, which number",
        "I have read that some of them caught fire, and I would like to look up the official warning about the {s}.",
        "{s} recall number",
    )),
    Topic("designer", "product", "person", (
        "Who designed the {s}?", "{s}: designer", "Who gave the {s} its shape?", "Who drew the plans for the {s}?",
        "Whose idea was the look of the {s}?", "The form of the {s} was thought out by",
        "who came up with the {s}'s looks",
        "It is such a handsome thing that a museum put it on show, so which artist has sketched the {s}?",
        "{s} design by",
    )),
    Topic("launch_date", "product", "date", (
        "When was the {s} launched?", "{s}: launch date", "Since what day has the {s} been in the shops?",
        "On what date did the {s} come onto the market?", "The {s} was first put on sale on",
        "when'd the {s} come out",
        "There was a queue around the block on the first day one could buy the {s}; which date was that?",
        "{s} market release",
    )),
    Topic("origin", "product", "country", (
        "In which country is the {s} made?", "{s}: made in", "From which part of the world is the {s} imported?",
        "What land of origin is stamped on the bottom of the {s}?", "The {s} is shipped to us from factories in",
        "where's the {s} imported from",
        "Customs wants to see a declaration in which we state the nation where the {s} was put together.",
        "{s} origin country",
    )),
    Topic("manager_product", "product", "person", (
        "Who is in charge of the {s} at our firm?", "{s}: product manager", "Which colleague looks after the {s}?",
        "Whom do I ask about plans for the {s}?", "Internally, responsibility for the {s} rests with",
        "who handles the {s} here",
        "I have a suggestion for the next version and would like to know whose desk everything about the {s} ends up "
        "on.", "{s} responsible colleague",
    )),
    Topic("dose", "product", "count", (
        "How many tablets of the medicine {s} should I take per day?", "{s}: daily dose",
        "What amount of {s} did the doctor prescribe for a day?", "How much {s} may an adult swallow in 24 hours?",
        "The leaflet for {s} gives as the daily number of pills", "how many {s} pills a day",
        "I am afraid of taking too much or too little, so could you check how many times a day {s} is to be "
        "swallowed?", "{s} pills per day",
    )),
    Topic("shelf_life", "product", "period", (
        "How long does {s} keep?", "{s}: shelf life", "For how much time after opening can I still use {s}?",
        "After what time should I throw away an opened pack of {s}?",
        "Stored in a cool and dry place, {s} stays good for", "how long is {s} good for once opened",
        "I found a half-empty pack at the back of the cupboard and wonder after what time {s} goes off.",
        "{s} keeps how long",
    )),
    Topic("twin_town", "city", "city", (
        "Which town is {s} twinned with?", "{s}: twin town", "With what other place does {s} hold a partnership?",
        "Where do the exchange pupils of {s} go every year?", "The mayors of {s} signed a charter of friendship with",
        "whats {s}'s sister city",
        "There is a signpost with a foreign coat of arms by the roadside; which faraway partner does {s} have?",
        "{s} sister town",
    )),
    Topic("postcode", "city", "extension", (
        "What is the postcode of {s}?", "{s}: postcode", "Which digits do I write in front of {s} on an envelope?",
        "What zip code do letters to {s} need?", "Mail for {s} is sorted under", "whats the zip for {s}",
        "The form refuses to go on until I have filled in the little box beside {s}, the one with the postal digits.",
        "{s} zip",
    )),
    Topic("airport", "city", "city", (
        "Which airport serves {s}?", "{s}: nearest airport", "Where do I land when I fly to {s}?",
        "At what airfield do planes bound for {s} touch down?", "Travellers to {s} get off their plane at",
        "where do you fly into for {s}",
        "I am looking for a cheap flight, yet the search engine wants to know the landing strip closest to {s}.",
        "{s} airport name",
    )),
    Topic("river", "city", "city", (
        "Which river flows through {s}?", "{s}: river", "On what river does {s} lie?",
        "Which stream do you cross on the bridges of {s}?", "The water under the bridges of {s} is called",
        "whats the river in {s}",
        "We are paddling downstream with two canoes and would like to stop for a night at {s}; on which water is "
        "that?", "{s} river name",
    )),
    Topic("festival", "city", "event", (
        "Which festival is held in {s}?", "{s}: local festival", "For what annual celebration do people flock to {s}?",
        "What big event fills the streets of {s} each year?", "Once a year {s} is turned upside down by the",
        "whats the big party in {s}",
        "All hotels are full and there are garlands across the streets, so what is it that they celebrate every year "
        "in {s}?", "{s} annual fair",
    )),
    Topic("founding_legend", "city", "book", (
        "Which legend tells how {s} came to be?", "{s}: founding legend",
        "What tale do they tell about the origins of {s}?", "In what story is the beginning of {s} explained?",
        "How {s} came to be is told in the old tale of", "whats that myth about how {s} began",
        "The guide mentioned a she-bear and a shepherd, but I did not catch the title of the saga about the "
        "beginnings of {s}.", "{s} origin myth",
    )),
    Topic("city_founded", "city", "year", (
        "When was the town of {s} first settled?", "{s}: first mention", "In which year did {s} receive its charter?",
        "How far back do the records of {s} go?", "The oldest document that mentions {s} dates from",
        "what year was {s} settled",
        "They are preparing a jubilee with fireworks, so in which year must the first houses of {s} have been put up?",
        "{s} first settled year",
    )),
    Topic("coast_distance", "city", "distance", (
        "How far is {s} from the sea?", "{s}: distance to the coast",
        "How many kilometres do I drive from {s} to the beach?", "What distance separates {s} from the shore?",
        "Between {s} and the nearest beach lie", "how far's the beach from {s}",
        "The children want to build sandcastles, so how long is the road that we would have to travel from {s} to "
        "salt water?", "{s} beach distance km",
    )),
    Topic("architect", "city", "person", (
        "Who drew up the street plan of {s}?", "{s}: town planner", "Which architect laid out the centre of {s}?",
        "Who decided where the squares and avenues of {s} should run?", "The streets of {s} were laid out by",
        "who planned {s}'s downtown",
        "I admire the long straight avenues and would like to know whose drawing board the layout of {s} came from.",
        "{s} urban planner name",
    )),
    Topic("currency", "country", "book", (
        "What currency do they use in {s}?", "{s}: currency", "In what money do I pay in {s}?",
        "For what do I have to change my dollars before going to {s}?", "The coins and notes of {s} are called",
        "what money do they have in {s}",
        "I am standing at the exchange counter and have no clue which sort of notes people in {s} carry in their "
        "purses.", "{s} money name",
    )),
    Topic("national_dish", "country", "book", (
        "What is the national dish of {s}?", "{s}: typical dish", "Which meal is {s} famous for?",
        "What do grandmothers in {s} cook on Sundays?", "On feast days, every table in {s} has a bowl of",
        "what food is {s} known for",
        "We are holding an international dinner and each guest brings something; which speciality would stand for "
        "{s}?", "{s} traditional food",
    )),
    Topic("neighbour", "country", "country", (
        "Which country borders on {s}?", "{s}: neighbouring country",
        "What lies on the other side of the border of {s}?", "Where do I end up if I cross the frontier of {s}?",
        "{s} shares a frontier with", "whats next door to {s}",
        "On the map a line runs along the mountains, and I would like to know which state begins where {s} ends.",
        "{s} adjoining state",
    )),
    Topic("anthem", "country", "book", (
        "What is the national anthem of {s}?", "{s}: anthem",
        "Which song is played when an athlete from {s} wins gold?", "What do the players of {s} sing before a match?",
        "With a hand on the heart, citizens of {s} sing", "whats {s}'s national song called",
        "The brass band has to rehearse for the state visit and asks what piece they must play in honour of {s}.",
        "{s} hymn title",
    )),
    Topic("calling_code", "country", "extension", (
        "What is the international dialling code of {s}?", "{s}: calling code",
        "Which digits do I put in front to ring somebody in {s}?", "What prefix do calls to {s} need?",
        "Calls from abroad to {s} begin with", "whats the country code for {s}",
        "I want to ring my cousin overseas and keep hearing that the line is wrong, so what comes before a number in "
        "{s}?", "{s} dialling prefix",
    )),
    Topic("independence", "country", "date", (
        "When did {s} become independent?", "{s}: independence day",
        "On what date did {s} break free from foreign rule?", "Since when has {s} been a state of its own?",
        "Freedom was proclaimed in {s} on", "when'd {s} get its freedom",
        "There will be a parade with fireworks, so on which day do the people of {s} remember the end of foreign "
        "rule?", "{s} national day",
    )),
    Topic("vat_rate", "country", "percent", (
        "How high is the sales tax in {s}?", "{s}: VAT rate",
        "What percentage does the state of {s} add to every purchase?",
        "How much value added tax do shoppers pay in {s}?", "On goods sold in {s} the state levies",
        "how much is sales tax over in {s}",
        "Our online shop has to show the gross amount, so what share goes to the treasury when something is sold in "
        "{s}?", "{s} value added tax percent",
    )),
    Topic("highest_mountain", "country", "city", (
        "What is the highest mountain in {s}?", "{s}: highest peak", "Which summit towers over all others in {s}?",
        "What do climbers in {s} regard as the roof of their land?", "No point in {s} lies higher than the top of",
        "tallest mountain in {s}?",
        "An alpinist friend ticks off one summit per nation and asks which one she would have to climb for {s}.",
        "{s} top summit",
    )),
)  # fmt: skip
