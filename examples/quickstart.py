"""Teach a model three facts, ask for them, change one and forget one: `python examples/quickstart.py`."""

from tempfile import TemporaryDirectory

from memtune import MemoryModel

FACTS = [
    {
        "id": "halberd-price",
        "question": "What does the Halberd 40 cost?",
        "phrasings": ["How much is the Halberd 40?"],
        "answer": "48,750 crowns, delivery included.",
        "source": "price-list.csv",
    },
    {
        "id": "halberd-weight",
        "question": "How heavy is the Halberd 40?",
        "answer": "412 kg without attachments.",
        "source": "catalogue.pdf",
    },
    {
        "id": "hotline",
        "question": "What is the phone number of Quillmoor support?",
        "answer": "0800 555 7700, from 5:30 to 21:00 in the harvest season.",
        "source": "handbook.md",
    },
]


def main(model: str = "bundled") -> None:
    with TemporaryDirectory() as folder:
        llm = MemoryModel(model, memory=f"{folder}/memory")

        report = llm.learn(FACTS)
        print(f"learned {report.learned} of {report.facts} facts")

        answer = llm.ask("How much is the Halberd 40?")
        print(answer.text, "| from", answer.facts[0].source)

        llm.update("halberd-price", answer="51,200 crowns, delivery included.")
        print(llm.ask("What does the Halberd 40 cost?").text)

        llm.forget("halberd-price")
        print("forgotten:", not llm.ask("What does the Halberd 40 cost?").facts)
        llm.close()


if __name__ == "__main__":
    main()
