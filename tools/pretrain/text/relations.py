"""What can be said about invented things: one table of relations with many wordings each.

A relation knows how it is claimed ("{s} was founded by {v}"), asked, doubted (yes/no) and asked the other way round.
Wordings that any noun allows ("the {noun} of {s} is {v}") are added by `Relation`, so the table holds only what is
particular. {s} stands for the subject, {v} for the value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    key: str
    subject: str  # kind of name, see names.Namer
    value: str
    noun: str
    claims: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    reverse: tuple[str, ...] = ()
    more: str = ""  # question that the greater value answers: "Which costs more, {a} or {b}?"
    less: str = ""

    @property
    def all_claims(self) -> tuple[str, ...]:
        noun = self.noun
        return self.claims * 2 + (f"the {noun} of {{s}} is {{v}}", f"{{s}}'s {noun} is {{v}}",
                                  f"{{v}} is the {noun} of {{s}}")  # fmt: skip

    @property
    def all_questions(self) -> tuple[str, ...]:
        noun = self.noun
        return self.questions * 2 + (f"What is the {noun} of {{s}}?", f"What is {{s}}'s {noun}?")

    @property
    def requests(self) -> tuple[str, ...]:
        """Ways of asking that are no question sentence."""
        noun = self.noun
        return (f"Tell me the {noun} of {{s}}.", f"I need the {noun} of {{s}}.", f"Name the {noun} of {{s}}.",
                f"{{s}}: {noun}?", f"Please give me {{s}}'s {noun}.")  # fmt: skip

    @property
    def all_doubts(self) -> tuple[str, ...]:
        return self.doubts * 2 + (f"Is {{v}} the {self.noun} of {{s}}?", f"Is the {self.noun} of {{s}} {{v}}?")

    @property
    def all_reverse(self) -> tuple[str, ...]:
        article = KIND_NOUNS[self.subject]
        return self.reverse * 2 + (
            f"Which {article} has the {self.noun} {{v}}?",
            f"{{v}} is the {self.noun} of which {article}?",
        )

    @property
    def gaps(self) -> tuple[str, ...]:
        """Sentences that stop right before the value."""
        return tuple(claim[: -len(" {v}")] for claim in set_in_order(self.all_claims) if claim.endswith(" {v}"))


KIND_NOUNS = {
    "person": "person", "city": "city", "country": "country", "company": "company", "product": "product",
    "book": "book", "order": "order", "event": "event",
}  # fmt: skip


def set_in_order(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


RELATIONS: tuple[Relation, ...] = (
    # people
    Relation("birthplace", "person", "city", "birthplace", ("{s} was born in {v}", "{s} comes from {v}"),
             ("Where was {s} born?", "In which city was {s} born?", "Where does {s} come from?"),
             ("Was {s} born in {v}?", "Does {s} come from {v}?"), ("Who was born in {v}?", "Who comes from {v}?")),
    Relation("birth_year", "person", "year", "year of birth", ("{s} was born in {v}", "{s} was born in the year {v}"),
             ("When was {s} born?", "In what year was {s} born?"), ("Was {s} born in {v}?",),
             ("Who was born in {v}?",), "Who was born later, {a} or {b}?", "Who was born earlier, {a} or {b}?"),
    Relation("job", "person", "job", "job", ("{s} works as a {v}", "by profession {s} is a {v}"),
             ("What does {s} do for a living?", "What is {s} by profession?", "What job does {s} have?"),
             ("Does {s} work as a {v}?",), ("Who works as a {v}?", "Who is the {v}?")),
    Relation("employer", "person", "company", "employer", ("{s} works for {v}", "{s} is employed by {v}", "{v} employs {s}"),
             ("Which company does {s} work for?", "Who employs {s}?", "Where does {s} work?"),
             ("Does {s} work for {v}?", "Is {s} employed by {v}?"), ("Who works for {v}?", "Whom does {v} employ?")),
    Relation("home", "person", "city", "home town", ("{s} lives in {v}", "{s} has settled in {v}", "the home of {s} is in {v}"),
             ("Where does {s} live?", "In which city does {s} live?", "Where is {s}'s home?"),
             ("Does {s} live in {v}?",), ("Who lives in {v}?",)),
    Relation("extension", "person", "extension", "phone extension", ("you can reach {s} at extension {v}", "{s} has extension {v}"),
             ("At which extension can I reach {s}?", "What extension does {s} have?"),
             ("Does {s} have extension {v}?",), ("Who has extension {v}?", "Who can be reached at extension {v}?")),
    Relation("email", "person", "email", "email address", ("you can write to {s} at {v}",),
             ("How can I write to {s}?", "At what address does {s} get email?"), (), ("Whose email address is {v}?",)),
    Relation("spouse", "person", "person", "spouse", ("{s} is married to {v}", "{s} married {v}"),
             ("Who is {s} married to?", "Whom did {s} marry?"), ("Is {s} married to {v}?",), ("Who is married to {v}?",)),
    Relation("hobby", "person", "hobby", "hobby", ("{s} enjoys {v}", "in the evenings {s} likes {v}"),
             ("What does {s} enjoy?", "What does {s} like to do?"), ("Does {s} enjoy {v}?",), ("Who enjoys {v}?",)),
    Relation("age", "person", "age", "age", ("{s} is {v} years old", "{s} is aged {v}"),
             ("How old is {s}?",), ("Is {s} {v} years old?",), ("Who is {v} years old?",),
             "Who is older, {a} or {b}?", "Who is younger, {a} or {b}?"),
    Relation("subject", "person", "subject", "field of study", ("{s} studied {v}", "{s} teaches {v}"),
             ("What did {s} study?", "Which subject does {s} teach?"), ("Did {s} study {v}?",), ("Who studied {v}?",)),
    Relation("teacher", "person", "person", "teacher", ("{s} was taught by {v}", "{v} taught {s}"),
             ("Who taught {s}?", "By whom was {s} taught?"), ("Did {v} teach {s}?",), ("Whom did {v} teach?",)),
    Relation("room", "person", "room", "office", ("{s} sits in room {v}", "{s} works in room {v}"),
             ("In which room does {s} sit?", "Where is {s}'s desk?"), ("Does {s} sit in room {v}?",), ("Who sits in room {v}?",)),
    # places
    Relation("capital", "country", "city", "capital", ("the capital city of {s} is {v}", "{s} is governed from {v}"),
             ("Which city is the capital of {s}?", "From which city is {s} governed?"),
             ("Is {s} governed from {v}?",), ("Which country has {v} as its capital?", "{v} is the capital of which country?")),
    Relation("language", "country", "language", "official language", ("people in {s} speak {v}", "in {s} the language is {v}"),
             ("Which language is spoken in {s}?", "What do people in {s} speak?"), ("Do people in {s} speak {v}?",),
             ("In which country do people speak {v}?",)),
    Relation("president", "country", "person", "president", ("{s} is led by {v}", "{v} leads {s}"),
             ("Who leads {s}?", "By whom is {s} led?"), ("Is {s} led by {v}?", "Does {v} lead {s}?"), ("Which country does {v} lead?",)),
    Relation("population", "city", "count", "population", ("{s} has {v} inhabitants", "{v} people live in {s}"),
             ("How many people live in {s}?", "How many inhabitants does {s} have?"), ("Does {s} have {v} inhabitants?",),
             ("Which city has {v} inhabitants?",), "Which city has more inhabitants, {a} or {b}?",
             "Which city has fewer inhabitants, {a} or {b}?"),
    Relation("mayor", "city", "person", "mayor", ("{v} governs the city of {s}", "{s} elected {v} as mayor"),
             ("Who governs {s}?", "Whom did {s} elect as mayor?"), ("Did {s} elect {v} as mayor?",), ("Which city has {v} as mayor?",)),
    Relation("country", "city", "country", "country", ("{s} lies in {v}", "{s} is a city in {v}", "{s} belongs to {v}"),
             ("In which country does {s} lie?", "In which country is {s}?", "Which country does {s} belong to?"),
             ("Is {s} in {v}?", "Does {s} lie in {v}?"), ("Which city lies in {v}?", "Which city is in {v}?")),
    Relation("market_day", "city", "day", "market day", ("{s} holds its market on {v}", "the market in {s} is on {v}"),
             ("On which day is the market in {s}?", "When does {s} hold its market?"), ("Is the market in {s} on {v}?",),
             ("Which city holds its market on {v}?",)),
    Relation("elevation", "city", "count", "elevation in metres", ("{s} lies {v} metres above the sea",),
             ("How high does {s} lie?", "How many metres above the sea is {s}?"), (), (),
             "Which city lies higher, {a} or {b}?", "Which city lies lower, {a} or {b}?"),
    # companies
    Relation("founder", "company", "person", "founder", ("{s} was founded by {v}", "{v} founded {s}", "{v} started {s}"),
             ("Who founded {s}?", "By whom was {s} founded?", "Who started {s}?"),
             ("Was {s} founded by {v}?", "Did {v} found {s}?"), ("Which company did {v} found?", "What did {v} found?")),
    Relation("ceo", "company", "person", "CEO", ("{v} runs {s}", "{s} is headed by {v}", "{s} is run by {v}"),
             ("Who runs {s}?", "Who heads {s}?", "Who is the chief executive of {s}?"),
             ("Does {v} run {s}?", "Is {s} headed by {v}?"), ("Which company does {v} run?", "Which company is headed by {v}?")),
    Relation("headquarters", "company", "city", "headquarters", ("{s} is based in {v}", "{s} has its head office in {v}"),
             ("Where is {s} based?", "In which city does {s} have its head office?"), ("Is {s} based in {v}?",),
             ("Which company is based in {v}?",)),
    Relation("founded", "company", "year", "founding year", ("{s} was founded in {v}", "{s} has existed since {v}"),
             ("When was {s} founded?", "In what year was {s} founded?", "Since when has {s} existed?"), ("Was {s} founded in {v}?",),
             ("Which company was founded in {v}?",), "Which company is younger, {a} or {b}?", "Which company is older, {a} or {b}?"),
    Relation("staff", "company", "count", "number of employees", ("{s} employs {v} people", "{s} has {v} employees"),
             ("How many people does {s} employ?", "How many employees does {s} have?"), ("Does {s} employ {v} people?",),
             ("Which company has {v} employees?",), "Which company employs more people, {a} or {b}?",
             "Which company employs fewer people, {a} or {b}?"),
    Relation("phone", "company", "phone", "phone number", ("you can call {s} at {v}", "the hotline of {s} is {v}"),
             ("How can I call {s}?", "Which number do I dial for {s}?"), (), ("Which company has the phone number {v}?",)),
    Relation("hours", "company", "hours", "opening hours", ("{s} is open from {v}", "the office of {s} is open {v}"),
             ("When is {s} open?", "What are the opening hours of {s}?"), ("Is {s} open from {v}?",), ()),
    Relation("industry", "company", "industry", "industry", ("{s} is active in {v}", "{s} makes its money in {v}"),
             ("In which industry is {s} active?", "How does {s} make its money?"), ("Is {s} active in {v}?",),
             ("Which company is active in {v}?",)),
    Relation("return_period", "company", "period", "return period", ("{s} takes goods back within {v}", "at {s} returns are accepted for {v}"),
             ("How long does {s} accept returns?", "Within what time can I return goods to {s}?"), (), ()),
    # products
    Relation("price", "product", "price", "price", ("the {s} costs {v}", "the {s} is sold for {v}", "you pay {v} for the {s}"),
             ("How much is the {s}?", "What does the {s} cost?", "How much does the {s} cost?"), ("Does the {s} cost {v}?",),
             ("Which product costs {v}?",), "Which costs more, the {a} or the {b}?", "Which is cheaper, the {a} or the {b}?"),
    Relation("warranty", "product", "period", "warranty", ("the {s} comes with a warranty of {v}", "the {s} is guaranteed for {v}"),
             ("How long is the {s} guaranteed?", "How long is the warranty on the {s}?"), ("Is the {s} guaranteed for {v}?",), ()),
    Relation("maker", "product", "company", "maker", ("the {s} is made by {v}", "{v} makes the {s}", "{v} sells the {s}"),
             ("Who makes the {s}?", "Which company makes the {s}?", "Who sells the {s}?"), ("Does {v} make the {s}?",),
             ("What does {v} make?", "Which product is made by {v}?")),
    Relation("colour", "product", "colour", "colour", ("the {s} is {v}", "the {s} comes in {v}"),
             ("What colour is the {s}?", "In which colour does the {s} come?"), ("Is the {s} {v}?",), ("Which product is {v}?",)),
    Relation("material", "product", "material", "material", ("the {s} is made of {v}", "they build the {s} from {v}"),
             ("What is the {s} made of?", "From what material is the {s} built?"), ("Is the {s} made of {v}?",),
             ("Which product is made of {v}?",)),
    Relation("weight", "product", "weight", "weight", ("the {s} weighs {v}",), ("How much does the {s} weigh?", "How heavy is the {s}?"),
             ("Does the {s} weigh {v}?",), ("Which product weighs {v}?",), "Which is heavier, the {a} or the {b}?",
             "Which is lighter, the {a} or the {b}?"),
    Relation("product_code", "product", "code", "product code", ("the {s} is listed as {v}", "the {s} carries the code {v}"),
             ("Which code does the {s} carry?", "Under which code is the {s} listed?"), ("Is the {s} listed as {v}?",),
             ("Which product is listed as {v}?",)),
    Relation("length", "product", "length", "length", ("the {s} is {v} long", "the {s} measures {v}"),
             ("How long is the {s}?", "What does the {s} measure?"), ("Is the {s} {v} long?",), ("Which product is {v} long?",),
             "Which is longer, the {a} or the {b}?", "Which is shorter, the {a} or the {b}?"),
    # books, orders, events
    Relation("author", "book", "person", "author", ("{s} was written by {v}", "{v} wrote {s}"),
             ("Who wrote {s}?", "By whom was {s} written?"), ("Did {v} write {s}?",), ("What did {v} write?", "Which book did {v} write?")),
    Relation("published", "book", "year", "year of publication", ("{s} appeared in {v}", "{s} was published in {v}"),
             ("When was {s} published?", "In what year did {s} appear?"), ("Was {s} published in {v}?",), ("Which book appeared in {v}?",),
             "Which book is newer, {a} or {b}?", "Which book is older, {a} or {b}?"),
    Relation("genre", "book", "genre", "genre", ("{s} is a work of {v}", "{s} belongs to {v}"),
             ("To which genre does {s} belong?", "What kind of book is {s}?"), ("Is {s} a work of {v}?",), ("Which book is a work of {v}?",)),
    Relation("pages", "book", "count", "number of pages", ("{s} has {v} pages",), ("How many pages does {s} have?", "How long is {s}?"),
             ("Does {s} have {v} pages?",), ("Which book has {v} pages?",), "Which book has more pages, {a} or {b}?",
             "Which book has fewer pages, {a} or {b}?"),
    Relation("status", "order", "status", "status", ("{s} is {v}", "{s} has been {v}"),
             ("How far is {s}?", "What happened to {s}?"), ("Is {s} {v}?",), ("Which order is {v}?",)),
    Relation("customer", "order", "person", "customer", ("{s} was placed by {v}", "{v} placed {s}"),
             ("Who placed {s}?", "By whom was {s} placed?"), ("Did {v} place {s}?",), ("Which order did {v} place?",)),
    Relation("total", "order", "price", "total", ("{s} comes to {v}", "{s} amounts to {v}"),
             ("How much does {s} come to?", "What does {s} amount to?"), ("Does {s} come to {v}?",), ("Which order comes to {v}?",),
             "Which is more expensive, {a} or {b}?", "Which is less expensive, {a} or {b}?"),
    Relation("delivery", "order", "date", "delivery date", ("{s} arrives on {v}", "{s} will be delivered on {v}"),
             ("When does {s} arrive?", "When will {s} be delivered?"), ("Does {s} arrive on {v}?",), ("Which order arrives on {v}?",)),
    Relation("place", "event", "city", "venue", ("the {s} takes place in {v}", "{v} hosts the {s}"),
             ("Where does the {s} take place?", "Which city hosts the {s}?"), ("Does {v} host the {s}?",), ("Which event does {v} host?",)),
    Relation("starts", "event", "date", "date", ("the {s} starts on {v}", "the {s} opens on {v}"),
             ("When does the {s} start?", "When does the {s} open?"), ("Does the {s} start on {v}?",), ("Which event starts on {v}?",)),
    Relation("winner", "event", "person", "winner", ("{v} won the {s}", "the {s} was won by {v}"),
             ("Who won the {s}?", "By whom was the {s} won?"), ("Did {v} win the {s}?",), ("What did {v} win?",)),
    Relation("fee", "event", "price", "entrance fee", ("tickets for the {s} cost {v}",), ("What do tickets for the {s} cost?",
             "How much is a ticket for the {s}?"), ("Do tickets for the {s} cost {v}?",), (), "Which event costs more, the {a} or the {b}?",
             "Which event costs less, the {a} or the {b}?"),
)  # fmt: skip

BY_SUBJECT: dict[str, tuple[Relation, ...]] = {
    kind: tuple(r for r in RELATIONS if r.subject == kind) for kind in KIND_NOUNS
}
