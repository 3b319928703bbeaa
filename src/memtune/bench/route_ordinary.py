"""Text in which nothing that was learned is asked for: passages, openings of a chat, instructions."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from memtune.bench.route_sets import Group, Query
from memtune.errors import InputError
from memtune.evaluate.use.names import names
from memtune.ingest import files

PASSAGES, OPENINGS, INSTRUCTIONS = "passages", "chat openings", "instructions"
_SHORTEST, _LONGEST = 40, 900
"""Characters of a passage."""
_BETWEEN = r"(?<=[.!?]) +(?=[A-Z\"])"
"""Where a sentence ends and another begins."""

_OPENINGS = (
    "{hello}", "{hello} {how}", "{hello} {how} {mood}", "{hello} {wish}", "{how}", "{wish}", "{thanks}",
    "{thanks} {bye}", "{bye}", "{mood} {wish}", "{hello} {mood}",
    "{hello} I am {who} and {mood_small}.", "{who_are_you}", "{hello} {who_are_you}", "{thanks} {wish}", "{mood}",
)  # fmt: skip
_SAYINGS = {
    "hello": (
        "Hi!", "Hello!", "Hey there,", "Good morning!", "Good evening.", "hi", "Hello again.", "Yo!", "Good afternoon,",
        "Hey, long time no see.", "Greetings!", "hello :)", "Hi there 👋", "Morning!",
    ),
    "how": (
        "How are you?", "How is it going?", "What's up?", "How was your weekend?", "Are you there?", "You OK?",
        "How have you been?", "What are you up to today?", "Did you sleep well?", "Nice day, isn't it?",
    ),
    "mood": (
        "I am a bit tired today.", "I had a terrible day.", "I am so happy right now!", "I can't sleep.",
        "It has been raining since Monday.", "My cat is sitting on my keyboard again.", "I am bored.",
        "I just came back from a run.", "I feel lonely tonight.", "Lunch was far too big.", "I miss the summer.",
        "My train is late again.", "I finally finished my essay.", "The neighbours are loud tonight.",
    ),
    "mood_small": (
        "a bit nervous", "new here", "just looking around", "very curious", "in a hurry", "not good with computers",
        "in the mood for a chat",
    ),
    "wish": (
        "Can we talk for a while?", "Can you cheer me up?", "Tell me a joke.", "Could you help me with something?",
        "I have a question.", "Can I ask you something personal?", "What should I cook tonight?",
        "Do you have a minute?", "What shall we talk about?", "Give me some advice, please.", "Let's play a game.",
        "Sing something for me.", "Surprise me!", "Can you keep a secret?",
    ),
    "thanks": (
        "Thanks!", "Thank you so much.", "That was helpful, thanks.", "Great, thank you!", "Cheers.",
        "You are the best.", "Perfect.", "OK, got it.", "That makes sense now.",
    ),
    "bye": (
        "Bye!", "See you tomorrow.", "Good night.", "Talk to you later.", "That is all for today.", "Take care!",
        "I have to go now.",
    ),
    "who": ("Ben", "a student", "a nurse", "Maria", "a teacher", "a father of two", "a beginner", "sixty-two"),
    "who_are_you": (
        "Who are you?", "Are you a robot?", "What can you do?", "Do you have feelings?",
        "Which languages do you speak?", "Can you make mistakes?",
        "Do you remember what I said before?", "How old are you?",
    ),
}  # fmt: skip
_INSTRUCTIONS = (
    "Write {text} about {topic}.", "Write {text} about {topic} in {style}.", "Write {text} for {reader}.",
    "Write a {language} function that {task}.", "Explain this error in {language}: {error}",
    "How do I {task_short} in {language}?", "Refactor a {language} class that {task}.",
    "Translate into {tongue}: \"{sentence}\"", "How do you say \"{sentence}\" in {tongue}?",
    "What is {a} {operator} {b}?", "Calculate {a} {operator} {b} and show every step.",
    "A shop sells {a} apples on each of {b} days. How many is that?", "Solve for x: {a}x + {b} = {c}.",
    "Is {a} a prime number?", "Convert {a} {unit} into {other_unit}.",
    "Summarise the following in one sentence: {sentence}",
    "Make this sound more polite: {sentence}", "Correct the spelling: {sentence}",
    "Give me {few} ideas for {project}.", "Plan {project} for {few} people.", "Explain {topic} to {reader}.",
    "List {few} pros and cons of {topic}.",
    "What is the difference between {topic} and {topic_b}?", "Why do people like {topic}?",
    "Act as {role} and talk to me about {topic}.", "Draw up a table with {few} rows about {topic}.",
    "How can I get better at {skill}?", "Suggest a title for {text} about {topic}.", "Continue the story: {sentence}",
)  # fmt: skip
_PARTS = {
    "text": ("a poem", "a short story", "an email", "a speech", "a haiku", "a product text", "an essay", "a song",
             "a letter", "a blog post", "three sentences"),
    "topic": ("autumn", "friendship", "black holes", "sourdough", "remote work", "chess", "electric cars", "rain",
              "recursion", "inflation", "jazz", "bees", "yoga", "climate change", "databases", "honesty", "tea",
              "photosynthesis", "machine learning", "old maps", "gravity", "volcanoes", "school uniforms"),
    "topic_b": ("winter", "rivalry", "white dwarfs", "pizza dough", "office work", "checkers", "bicycles", "snow",
                "iteration", "deflation", "blues", "wasps", "pilates", "weather", "spreadsheets", "tact", "coffee"),
    "style": ("a formal tone", "simple words", "the style of a fairy tale", "two paragraphs", "rhyme",
              "capital letters"),
    "reader": ("a five-year-old", "my boss", "a landlord", "my grandmother", "new colleagues", "a beginner",
               "a birthday", "a wedding", "a job application"),
    "language": ("Python", "JavaScript", "Rust", "Java", "C++", "Go", "SQL", "Bash", "Haskell"),
    "task": ("reverses a list", "counts the words of a file", "merges two sorted arrays", "parses a date",
             "removes duplicates", "sends an HTTP request", "checks brackets", "draws a tree", "sorts by two keys"),
    "task_short": ("read a file", "sort a dictionary", "join two strings", "round a number", "catch an exception",
                   "make a thread", "write a test", "loop backwards"),
    "error": ("IndexError: list index out of range", "NullPointerException", "segmentation fault",
              "undefined is not a function", "expected ';' before '}' token", "division by zero"),
    "tongue": ("French", "German", "Spanish", "Japanese", "Italian", "Polish", "Turkish", "Latin"),
    "sentence": ("The weather is lovely today.", "Where is the nearest bakery?", "I would like to pay, please.",
                 "She said she would be late.", "The meeting was moved to friday.", "my brother dont like olives",
                 "We regret to inform you that the lift is broken.", "He opened the door, and nobody was there.",
                 "Please water the plants while I am away.", "The soup was cold but the bread was fresh."),
    "operator": ("plus", "minus", "times", "divided by", "+", "*", "-", "mod"),
    "unit": ("miles", "kilograms", "degrees Fahrenheit", "hours", "inches", "euros"),
    "other_unit": ("kilometres", "pounds", "degrees Celsius", "seconds", "centimetres", "dollars"),
    "few": ("three", "5", "ten", "seven", "12"),
    "project": ("a birthday party", "a garden", "a weekend in the mountains", "a podcast", "a small kitchen",
                "a team meeting", "a science fair", "a bookshelf"),
    "role": ("a pirate", "a job interviewer", "a strict teacher", "a detective", "a tour guide", "a philosopher"),
    "skill": ("drawing", "public speaking", "the piano", "touch typing", "small talk", "cooking", "long jump"),
}  # fmt: skip
_BLANK = re.compile(r"\{(\w+)\}")


def ordinary_groups(n: int, wikitext: Path | None, seed: int) -> list[Group]:
    """n prompts, each once: half of them passages, where the file is given, the rest in equal parts."""
    draw = random.Random(f"ordinary {seed}")
    of_passages = n // 2 if wikitext is not None else 0
    of_openings = (n - of_passages) // 2
    made = {
        PASSAGES: passages(wikitext, of_passages, draw) if wikitext is not None else [],
        OPENINGS: _filled(_OPENINGS, _SAYINGS, of_openings, draw),
        INSTRUCTIONS: _filled(_INSTRUCTIONS, _PARTS, n - of_passages - of_openings, draw),
    }
    return [
        Group(name, [Query(f"{name} {i}", text) for i, text in enumerate(texts)])
        for name, texts in made.items()
        if texts
    ]


def passages(path: Path, n: int, draw: random.Random) -> list[str]:
    """n runs of one to four whole sentences of this text; all there are where it holds fewer."""
    files.require_file(path)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        lines = [line for line in file if line.strip() and not line.lstrip().startswith("=")]
    new = names(draw)
    found: dict[str, None] = {}
    for line in lines:
        # WikiText leaves rare words out, most of them names: invented ones stand in, so that texts stay as long.
        whole = re.sub("<unk>", lambda _: next(new), _readable(line))
        found |= dict.fromkeys(_runs(re.split(_BETWEEN, whole), draw))
    if not found:
        raise InputError(f"{path}: there is no passage in it")
    return draw.sample(list(found), min(n, len(found)))


def _runs(sentences: Sequence[str], draw: random.Random) -> Iterator[str]:
    while sentences:
        end = draw.randint(1, 4)
        text = " ".join(sentences[:end])
        if _SHORTEST <= len(text) <= _LONGEST:
            yield text
        sentences = sentences[end:]


def _readable(line: str) -> str:
    """WikiText as it was before it was cut into tokens, as far as prompts need it."""
    line = re.sub(r" @([-.,])@ ", r"\1", line.strip())
    line = re.sub(r" ([.,;:!?)\]%]|'s|n't|'m|'re|'ve|'ll)(?=\s|$)", r"\1", line)
    return re.sub(r"([(\[]) ", r"\1", line)


def _filled(frames: Sequence[str], parts: Mapping[str, Sequence[str]], n: int, draw: random.Random) -> list[str]:
    """n different texts from frames whose blanks are filled; frames take turns."""
    found: dict[str, None] = {}
    for turn in range(100 * n):
        if len(found) == n:
            break
        found[_BLANK.sub(lambda blank: _part(blank.group(1), parts, draw), frames[turn % len(frames)])] = None
    return list(found)


def _part(name: str, parts: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    return draw.choice(parts[name]) if name in parts else str(draw.randint(2, 999))
