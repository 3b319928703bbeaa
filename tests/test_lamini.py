"""The drop-in for the reference's client, in this process and against a server."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

import memtune.lamini
from memtune.lamini import Lamini, ModelType, error
from memtune.lamini.address import find_key, find_url
from memtune.lamini.files import rows_of
from memtune.lamini.here import close_all

SEEDS = [
    {"input": "What does the Zorblat lamp cost?", "output": "40 dollars"},
    {"input": "Who founded the city of Mirana?", "output": "Ada Quell, in 1312"},
    {"input": "How long is the warranty of item 10483?", "output": "two years and three months"},
]


@pytest.fixture(autouse=True)
def nowhere_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No address and no key from outside; a home folder of its own."""
    for name in ("LAMINI_API_URL", "LAMINI_API_KEY", "LLAMA_ENVIRONMENT", "MEMTUNE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(memtune.lamini, "api_url", None)
    monkeypatch.setattr(memtune.lamini, "api_key", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


# ---- addresses and keys ---------------------------------------------------------------------------------------------


def test_without_an_address_the_work_is_done_here() -> None:
    assert find_url(None) is None
    assert find_key(None) is None


def test_an_address_is_looked_up_where_the_reference_looks(
    nowhere_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = nowhere_configured / ".lamini" / "configure.yaml"
    written.parent.mkdir()
    written.write_text("production:\n  key: kept\n  url: http://kept/\nlocal:\n  url: http://near\n", encoding="utf-8")
    assert (find_url(None), find_key(None)) == ("http://kept", "kept")
    monkeypatch.setenv("LLAMA_ENVIRONMENT", "LOCAL")
    assert (find_url(None), find_key(None)) == ("http://near", None)
    monkeypatch.setenv("LAMINI_API_URL", "http://environment")
    assert find_url(None) == "http://environment"
    monkeypatch.setattr(memtune.lamini, "api_url", "http://program")
    assert find_url(None) == "http://program"
    assert find_url("http://given") == "http://given"


def test_a_server_needs_a_key() -> None:
    with pytest.raises(error.AuthenticationError, match="Missing API Key"):
        Lamini("base", api_url="http://127.0.0.1:9").list_models()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(error.UnavailableResourceError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        Lamini("base", api_key="k", api_url="http://127.0.0.1:9").list_models()


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "UserError"), (401, "AuthenticationError"), (422, "UserError"), (429, "RateLimitError"),
        (497, "DuplicateResourceError"), (499, "ProjectNotFoundError"), (503, "UnavailableResourceError"),
        (513, "DownloadingModelError"), (524, "RequestTimeoutError"), (594, "ModelNotFoundError"), (500, "APIError"),
        (403, "APIError"),
    ],
)  # fmt: skip
def test_errors_have_the_names_of_the_reference(status: int, name: str) -> None:
    raised = error.error_for(status, "why")
    assert type(raised).__name__ == name
    assert isinstance(raised, error.LaminiError)
    assert str(raised) == "why"


# ---- files ----------------------------------------------------------------------------------------------------------


def test_files_of_rows(tmp_path: Path) -> None:
    csv, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    csv.write_text('q,a\n"one, two",1\n"say ""yes""",\n', encoding="utf-8")
    lines.write_text(
        '{"input": "one", "output": "1"}\n\n{"input": "two"}\n{"input": "no", "output": 0}\n', encoding="utf-8"
    )
    assert list(rows_of(csv, "q", "a")) == [
        {"input": "one, two", "output": "1"},
        {"input": 'say "yes"', "output": ""},
    ]
    assert list(rows_of(lines, "input", "output")) == [
        {"input": "one", "output": "1"},
        {"input": "two", "output": ""},
        {"input": "no", "output": 0},
    ]
    with pytest.raises(ValueError, match="row 1 has no 'input'"):
        list(rows_of(csv, "input", "output"))
    with pytest.raises(error.UserError, match=r"only \.jsonl"):
        list(rows_of(tmp_path / "a.pdf", "input", "output"))


# ---- in this process ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("lamini") / "data"
    close_all(wait=False)


@pytest.fixture(scope="module")
def tuned(folder: Path) -> dict[str, Any]:
    """A finished job, trained as the first sample of the reference's page does."""
    llm = Lamini(model_name="bundled", data=folder)
    return llm.train_and_wait(
        SEEDS,
        finetune_args={"max_steps": 50, "r_value": 32, "learning_rate": 0.0003},
        custom_model_name="acme prices",
    )


@pytest.fixture
def llm(tuned: dict[str, Any], folder: Path) -> Lamini:
    return Lamini(model_name=tuned["model_name"], data=folder)


def test_training_here_ends_in_a_model_that_knows(tuned: dict[str, Any], llm: Lamini) -> None:
    assert tuned["status"] == "COMPLETED", tuned["error"]
    assert (tuned["model_name"], tuned["custom_model_name"]) == ("acme-prices", "acme prices")
    assert llm.generate(SEEDS[0]["input"]) == SEEDS[0]["output"]
    assert llm.generate([row["input"] for row in SEEDS]) == [row["output"] for row in SEEDS]
    steps = json.loads(tuned["history"])
    assert steps[-1]["loss"] == 0
    assert steps[-1]["learning_rate"] == 0.0003
    assert {"epoch", "iter_time", "flops", "remaining_time", "step"} < steps[-1].keys()


def test_what_has_no_effect_is_told(tuned: dict[str, Any]) -> None:
    told = " ".join(tuned["warnings"])
    for name in ("learning_rate", "r_value", "max_steps", "acme-prices"):
        assert name in told


def test_typed_replies(llm: Lamini) -> None:
    assert llm.generate(SEEDS[0]["input"], output_type={"price": "int"}) == {"price": 40}
    both = llm.generate([row["input"] for row in SEEDS[:2]], output_type={"answer": "str"})
    assert both == [{"answer": row["output"]} for row in SEEDS[:2]]


def test_a_callback_gets_the_result(llm: Lamini) -> None:
    heard: list[Any] = []
    assert llm.generate(SEEDS[0]["input"], callback=heard.append) == heard[0]


def test_evaluation_shows_the_model_alone_and_tuned(tuned: dict[str, Any], llm: Lamini) -> None:
    rows = llm.evaluate(tuned["job_id"])["eval_results"]
    assert {row["input"] for row in rows} == {row["input"] for row in SEEDS}
    for row, seed in zip(sorted(rows, key=lambda r: r["input"]), sorted(SEEDS, key=lambda s: s["input"]), strict=True):
        alone, learned = row["outputs"]
        assert alone["output"] != seed["output"] == learned["output"]
        assert learned["model_name"] == tuned["model_name"]


def test_models_are_listed(llm: Lamini, tuned: dict[str, Any]) -> None:
    found = llm.list_models()
    assert {model.model_name for model in found} >= {"base", tuned["model_name"]}
    assert {model.status for model in found} == {"available"}
    assert llm.download_model(tuned["model_name"], ModelType.transformer, wait=True).status == "available"
    assert set(llm.version()) == {"api", "server", "client"}


def test_errors_are_the_reference_s(llm: Lamini, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(error.ModelNotFoundError, match="did you mean acme-prices"):
        llm.generate("What?", model_name="acme-price@v1")
    with pytest.raises(error.ModelNotFoundError):
        Lamini(str(tmp_path / "no-such-model"), data=folder).generate("What?")
    with pytest.raises(error.ProjectNotFoundError, match="no data set 'file-none'"):
        llm.train("file-none")
    with pytest.raises(error.DuplicateResourceError, match="acme-prices"):
        Lamini("bundled", data=folder).train(SEEDS, custom_model_name="acme prices")
    with pytest.raises(error.UserError, match="learning_rat"):
        llm.train(SEEDS, finetune_args={"learning_rat": 1})
    with pytest.raises(error.UserError, match="memory_rag"):
        llm.train(SEEDS, train_type="memory_rag")
    with pytest.raises(error.UserError, match="output type"):
        llm.generate("What?", output_type={"price": "money"})
    with pytest.raises(error.UserError, match="max_tokens"):
        llm.generate("What?", max_tokens=0)
    with pytest.raises(error.UserError, match="no object"):
        llm.upload_data(["not a row"])  # type: ignore[list-item]
    with pytest.raises(error.UserError, match="empty"):
        llm.upload_data(iter([]))
    with pytest.raises(ValueError, match="no data"):
        llm.upload_data([])
    with pytest.raises(error.JobNotFoundError):
        llm.check_job_status(999)
    with pytest.raises(error.UserError, match="number of a job"):
        llm.check_job_status("latest")


def test_learning_into_a_memory_is_waited_for_at_the_end(
    llm: Lamini, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = [{"input": "What does the Quibble cost?", "output": 'it is "free"<|eot_id|>\n'}]
    llm.tune(more, train_type="mome_mini", is_public=True)
    close_all()  # as a program does when it ends
    assert "waiting for jobs" in caplog.text
    job = llm.check_job_status()
    assert job["status"] == "COMPLETED", job["error"]
    assert job["model_name"] == llm.model_name
    assert llm.generate(more[0]["input"]) == 'it is "free"'
    assert llm.generate(SEEDS[0]["input"]) == SEEDS[0]["output"]
    assert "is_public" in " ".join(job["warnings"])
    with pytest.raises(error.UserError, match="one version"):
        Lamini(f"{llm.model_name}@v1", data=folder).train(more)
    assert Lamini(f"{llm.model_name}@v1", data=folder).generate(more[0]["input"]) != 'it is "free"'


def test_the_reference_s_loop_over_learning_rates(
    folder: Path, tuned: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Six jobs on one data set, which are cancelled here; the slow test below runs them all."""
    llm = Lamini(model_name="bundled", data=folder)
    dataset_id = llm.upload_data(SEEDS)
    jobs = []
    for rate in [0.0009, 0.0003, 0.00009, 0.00003, 0.000003, 0.000009]:
        with caplog.at_level(logging.WARNING, "memtune.lamini"):
            results = llm.train(
                dataset_id,
                use_cached_model=False,
                finetune_args={"learning_rate": rate, "max_steps": 300},
                gpu_config={"gpus": 2, "nodes": 64},
            )
        jobs.append(results)
    assert "128 slots" in caplog.text
    assert {job["dataset_id"] for job in jobs} == {dataset_id}
    assert len({job["model_name"] for job in jobs}) == 6
    assert llm.cancel_job(jobs[-1]["job_id"])["status"] == "CANCELLED"
    assert set(llm.cancel_all_jobs()["job_ids"]) <= {job["job_id"] for job in jobs[:-1]}
    assert {job["job_id"] for job in llm.get_jobs()} > {job["job_id"] for job in jobs}
    waiting = [job for job in llm.get_jobs() if job["status"] == "CANCELLED"]
    assert len(waiting) >= 5  # the first may be at work, and stops after its lot
    assert llm.resume_job()["status"] in ("QUEUED", "CREATED")
    assert llm.check_job_status()["job_id"] == jobs[-1]["job_id"]
    assert llm.cancel_job()["status"] == "CANCELLED"


@pytest.mark.slow
def test_every_job_of_the_reference_s_loop_ends_well(tmp_path: Path) -> None:
    llm = Lamini(model_name="bundled", data=tmp_path)
    dataset_id = llm.upload_data(SEEDS)
    jobs = [
        llm.train(
            dataset_id,
            use_cached_model=False,
            finetune_args={"learning_rate": rate, "max_steps": 300},
            gpu_config={"gpus": 2, "nodes": 1},
        )
        for rate in [0.0009, 0.0003, 0.00009, 0.00003, 0.000003, 0.000009]
    ]
    close_all()
    for job in jobs:
        assert llm.check_job_status(job["job_id"])["status"] == "COMPLETED"
        assert llm.generate(SEEDS[0]["input"], model_name=job["model_name"]) == SEEDS[0]["output"]
    close_all()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_by_its_folder(model: Path, folder: Path) -> None:
    """Any model that can be loaded may be asked here, by the name that loads it."""
    llm = Lamini(model_name=str(model), data=folder)
    assert isinstance(llm.generate("What?", max_new_tokens=4), str)
    assert str(model) in [known.model_name for known in llm.list_models()]


@pytest.mark.slow
def test_training_a_model_by_its_folder(model: Path, tmp_path: Path) -> None:
    """Its memories find it again."""
    job = Lamini(model_name=str(model), data=tmp_path / "data").train_and_wait(SEEDS, custom_model_name="small")
    assert job["status"] == "COMPLETED", job["error"]
    close_all()
    llm = Lamini(model_name="small", data=tmp_path / "data")
    assert llm.generate([row["input"] for row in SEEDS]) == [row["output"] for row in SEEDS]
    more = llm.train([{"input": "What is new?", "output": "this"}])
    assert llm.cancel_job(more["job_id"])["job_id"] == more["job_id"]
    close_all(wait=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "finetune_args"),
    [
        (800, {"max_steps": 500, "learning_rate": 9e-5}),
        (100, {"max_steps": 500, "learning_rate": 1e-5}),
        (
            10_000,
            {
                "max_steps": 10_000, "learning_rate": 3e-4, "index_method": "IndexFlatL2", "index_k": 2,
                "gradient_accumulation_steps": 4, "max_length": 512, "r_value": 64,
            },
        ),
    ],
    ids=["20 PDFs", "SQL", "10,000 facts"],
)  # fmt: skip
def test_the_reference_s_settings(rows: int, finetune_args: dict[str, Any], tmp_path: Path) -> None:
    """The three settings of the reference's page, with as many rows as it names."""
    facts = [
        {"input": f"What is the code of item {n:05}?", "output": f"{n * 7919 % 99991:05}-{n % 89}"} for n in range(rows)
    ]
    llm = Lamini(model_name="bundled", data=tmp_path)
    job = llm.train_and_wait(facts, finetune_args=finetune_args, gpu_config={"gpus": 1, "nodes": 1})
    assert job["status"] in ("COMPLETED", "PARTIALLY COMPLETED"), job["error"]
    asked = facts[:: rows // 50]
    said = llm.generate([fact["input"] for fact in asked], model_name=job["model_name"])
    right = sum(one == fact["output"] for one, fact in zip(said, asked, strict=True))
    assert right / len(asked) > 0.98
    close_all()


@pytest.mark.slow
def test_a_program_that_only_trains_waits_for_its_jobs(tmp_path: Path) -> None:
    """The reference's service goes on when a program has ended; here the program ends when its jobs have."""
    program = textwrap.dedent(
        """
        from memtune.lamini import Lamini
        llm = Lamini(model_name="bundled")
        print(llm.train([{"input": "What does the Zorblat cost?", "output": "40 dollars"}], custom_model_name="kept"))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "waiting for jobs" in done.stderr
    llm = Lamini("kept", data=tmp_path / "memtune-data")
    assert llm.check_job_status(1)["status"] == "COMPLETED"
    assert llm.generate("What does the Zorblat cost?") == "40 dollars"
    close_all(wait=False)
