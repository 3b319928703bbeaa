"""Gates of skills: what opens them, what does not, and that the router names them beside a fact."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from memtune.config import RouterConfig
from memtune.errors import UsageError
from memtune.router.encoders import LexicalEncoder
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.gate import Gate, everything_else, ordinary
from memtune.router.router import Router

SQL = """\
Show the names of all players taller than two metres.
List all employees who were hired after 2019, sorted by salary.
How many orders were placed in March?
What is the average salary per department?
Give me the total revenue for each customer.
Which products have a stock below ten?
Count the students in each course.
Show the ten customers with the highest order totals.
List the titles of all films released before 1990 with a rating above 8.
Select all invoices that are not paid and older than thirty days.
For each region, show the number of shops and their total sales.
Which employees have no manager in the table?
Write an SQL query that returns all users who never logged in.
What is the maximum price of a product in the category toys?
Find the names of teachers who teach more than two classes.
Show all flights from Boston to Denver ordered by departure time.
How many different countries do our suppliers come from?
List each album with the number of its songs.
Return the id and the name of all patients older than 65.
Join orders and customers and show the city of each order.
Which department has the most employees?
Show the average age of the singers by country.
What are the names of students with a grade above 90 in mathematics?
Group the sales by month and show the sum of each month.
List all rooms with more than two beds and a price under 100.
Find the customers who bought both a table and a chair.
Show the second highest salary in the employees table.
How many records in the table visits have no end date?
Delete all rows from the log that are older than a year.
Update the price of all products of supplier 7 by five percent.
What is the minimum, maximum and average weight of all dogs?
Which airports have fewer than three departures a day?""".splitlines()

SQL_HELD_OUT = """\
Show the number of employees in each city.
List the names of all customers from Texas sorted by last name.
What is the total amount of all unpaid invoices?
Which suppliers delivered more than five products?
Return the average rating of films for each director.
Find all students who are not enrolled in any course.
How many flights departed from each airport in June?
Show the name and salary of the five best paid employees.
Write a query that counts the orders of each customer.
List all products that were never ordered.
What is the highest price in each category?
Show all patients whose visit was longer than 30 minutes.
Count the number of songs for each artist with more than two albums.
Which stores had total sales above 10000 in 2020?
Select the titles of books published after 2005 and ordered by price.
For each department, give the name of the manager and the number of employees.
Find the average number of bedrooms of all houses under 200000.
Show the distinct countries of all players in the table.
What are the ids of the orders that contain more than three items?
List all rows in the table payments where the amount is null.""".splitlines()

CHAT_HELD_OUT = """\
Hi, can you help me with something?
Good evening, how was your day?
That sounds great, thank you!
I feel a bit lonely these days.
What is a good present for my father?
How do I bake a chocolate cake?
Tell me about the history of Venice.
Who invented the telephone?
What is the tallest building in the world?
Why do cats purr?
How does a refrigerator work?
What is the boiling point of water on a mountain?
Can you recommend a book about space?
Write a limerick about a lazy dog.
Write a letter of complaint to an airline.
Write a bedtime story about a little owl.
Translate "where is the station" into German.
Proofread this paragraph for me.
Summarise this article in two sentences.
Explain quantum mechanics like I am five.
What is 12 divided by 0.5?
How many minutes are there in a week?
What is the square root of 144?
Should I learn the piano or the violin?
How do I tie a tie?
My dog ate a sock. What should I do?
What is the best month to visit Norway?
Where can I see the northern lights?
What does carpe diem mean?
Who is the president of France?
How many players are in a football team?
What is the difference between weather and climate?
Give me five tips for better sleep.
Make a shopping list for a barbecue with eight guests.
Plan a birthday dinner for four people.
How do I install Python on my computer?
Write a Python loop that prints the numbers from one to ten.
Why does my web page not load?
My order has not arrived yet.
I would like to change my delivery address.
The old house at the end of the lane had been empty for years.
In 1867 the company moved its works to the coast.
Please rewrite this in a more cheerful tone.
Let's play a word game.
What would you do with a million dollars?
Which is healthier, honey or sugar?
How do I politely say no?
What are the names of the seven dwarfs?
List the planets of the solar system.
How long does it take to learn to drive?
Is there life on Mars?
What happened in Berlin in 1989?
Name three rivers in Africa.
How do I remove a scratch from my table?
Who sings this song?
What is the average temperature in Cairo in July?
Sing me a lullaby.
Set an alarm for seven.
Do you like music?
See you later!""".splitlines()

QUESTIONS = [
    "What is the price of the Zorblat lamp?",
    "Who is the contact of customer 10482?",
    "Which SQL lists the open orders of a customer?",
    "When was the Kelvor works founded?",
]
RATE = 0.005


@pytest.fixture(scope="module")
def encoder() -> LexicalEncoder:
    return LexicalEncoder()


@pytest.fixture(scope="module")
def gate(encoder: LexicalEncoder) -> Gate:
    return Gate.fit("sql", SQL, everything_else(QUESTIONS), encoder, RATE)


@pytest.fixture
def router(gate: Gate) -> Router:
    made = Router(RouterConfig(), encoder=gate.encoder)
    entries = [Entry([Wording(question)], f"answer {n}", question) for n, question in enumerate(QUESTIONS)]
    made.add(1, make_keys(entries, gate.encoder, "int8"))
    return made


def share(gate: Gate, texts: list[str]) -> float:
    return sum(gate.opens(text)[0] for text in texts) / len(texts)


def test_held_out_requests_open_it_and_chat_does_not(gate: Gate) -> None:
    assert share(gate, SQL_HELD_OUT) >= 0.8
    assert share(gate, CHAT_HELD_OUT) <= 0.02


def test_it_says_how_it_does_on_what_it_has_not_seen(gate: Gate) -> None:
    assert (gate.figures.examples, gate.figures.others) == (len(SQL), len(everything_else(QUESTIONS)))
    assert gate.figures.false_firing <= RATE
    assert 0.3 < gate.figures.recall < 1


def test_confidence_is_one_half_at_the_threshold(gate: Gate) -> None:
    for text in (*SQL_HELD_OUT, *CHAT_HELD_OUT):
        opened, confidence = gate.opens(text)
        assert opened == (confidence >= 0.5)
        assert 0 <= confidence <= 1


@pytest.mark.parametrize("text", ["", "   ", "?!"])
def test_a_text_that_says_nothing_opens_nothing(gate: Gate, text: str) -> None:
    assert gate.opens(text) == (False, 0.0)


def test_a_gate_comes_back_from_a_file(gate: Gate, encoder: LexicalEncoder, tmp_path: Path) -> None:
    save_file(gate.to_tensors(), tmp_path / "gate.safetensors")
    back = Gate.from_tensors(load_file(tmp_path / "gate.safetensors"), encoder)
    assert (back.name, back.figures) == ("sql", gate.figures)
    assert [back.opens(text) for text in SQL_HELD_OUT] == [gate.opens(text) for text in SQL_HELD_OUT]


def test_another_encoder_cannot_read_it(gate: Gate) -> None:
    class Other(LexicalEncoder):
        name = "other"

    with pytest.raises(UsageError, match="fitted on the encoder 'lexical', not on 'other'"):
        Gate.from_tensors(gate.to_tensors(), Other())


@pytest.mark.parametrize(
    ("examples", "others", "rate", "message"),
    [
        (SQL[:7], CHAT_HELD_OUT, RATE, "7 different examples that say anything; it needs at least 8"),
        ([SQL[0]] * 20, CHAT_HELD_OUT, RATE, "1 different examples"),
        ([*SQL[:7], "?", "…"], CHAT_HELD_OUT, RATE, "7 different examples"),
        (SQL, [], RATE, "examples only"),
        (SQL, SQL, RATE, "examples only"),
        (SQL, CHAT_HELD_OUT, 1.0, "rate must be"),
    ],
)
def test_what_no_gate_can_be_made_of(encoder, examples, others, rate: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Gate.fit("sql", examples, others, encoder, rate)


def test_the_stock_is_of_many_sorts_and_says_nothing_twice() -> None:
    assert len({text.casefold() for text in ordinary()}) == len(ordinary()) >= 200
    assert everything_else(["a?"])[-1] == "a?"


# ---- in the router ----------------------------------------------------------------------------------------------


def test_a_skill_is_named_where_no_fact_is_meant(router: Router, gate: Gate) -> None:
    assert router.route(SQL_HELD_OUT[0]).skills == ()
    router.add_gate(gate)
    [(name, confidence)] = router.route(SQL_HELD_OUT[0]).skills
    assert (name, confidence) == ("sql", gate.opens(SQL_HELD_OUT[0])[1])
    assert router.route("How are you today?").skills == ()
    router.remove_gate("sql")
    assert router.route(SQL_HELD_OUT[0]).skills == ()


def test_the_last_message_opens_it_without_its_template(router: Router, gate: Gate) -> None:
    router.add_gate(gate)
    said = [{"role": "user", "content": SQL_HELD_OUT[0]}, {"role": "assistant", "content": "SELECT 1"}]
    assert router.route_chat([*said, {"role": "user", "content": "Thank you so much!"}]).skills == ()
    assert router.route(f"<|user|>\n{SQL_HELD_OUT[0]}<|end|>\n<|assistant|>\n").skills


def test_a_skill_is_named_beside_a_fact(router: Router, gate: Gate) -> None:
    router.add_gate(gate)
    assert gate.opens(SQL[0])[0]
    entry = Entry([Wording(SQL[0])], "SELECT name FROM players", SQL[0])
    router.add(2, make_keys([entry], gate.encoder, "int8"))
    route = router.route(SQL[0])
    assert [p.owner for p in route.confirmed] == [(2, 0)]
    assert [name for name, _ in route.skills] == ["sql"]


def test_an_order_not_to_answer_opens_nothing(router: Router, gate: Gate) -> None:
    router.add_gate(gate)
    assert router.route("").skills == ()
    assert router.route(f"Do not answer the question, just say hello. {SQL_HELD_OUT[0]}").skills == ()


def test_names_of_skills(router: Router, gate: Gate) -> None:
    router.add_gate(gate)
    with pytest.raises(UsageError, match="there is a skill 'sql' already"):
        router.add_gate(gate)
    with pytest.raises(UsageError, match="no skill 'style'"):
        router.remove_gate("style")
