"""The harness of the benchmarks: order of runs, ratios, and what the table states."""

from tests.bench import harness


def test_functions_alternate_and_reverse_every_second_round():
    calls = []
    functions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    harness.alternate(functions, rounds=2, warmup=0)
    assert calls == ["a", "b", "a", "a", "b", "a"]


def test_warmup_and_what_comes_after_each_run():
    calls = []
    harness.alternate(
        {"a": lambda: calls.append("run")}, rounds=1, warmup=2, after=lambda: calls.append("after")
    )
    assert calls == ["run"] * 4 + ["run", "after"] * 2  # the denominator stands twice


def test_ratio_is_to_the_first_function(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock[0])

    def lasts(*seconds):
        waits = iter(seconds)

        def function():
            clock[0] += next(waits)

        return function

    # rounds 1 and 3 in order, round 2 in reverse; the machine is twice as slow in round 3
    functions = {"one": lasts(1, 1, 1, 1, 2, 2), "three": lasts(3, 3, 6)}
    found = harness.alternate(functions, rounds=3, warmup=0)
    assert found["one"] == {"seconds": 1, "low": 1, "high": 2, "ratio": 1}
    assert found["three"] == {"seconds": 3, "low": 3, "high": 6, "ratio": 3}
    assert found[harness.AGAIN]["ratio"] == 1


def test_the_report_states_settings_and_command(tmp_path):
    results = {"plain": {"seconds": 0.1, "low": 0.09, "high": 0.2, "ratio": 1.0}}
    text = harness.table(results, "ViT-B-32", harness.settings(batch=8, size="224 px"))
    path = harness.save("engine", [text], tmp_path)
    written = path.read_text(encoding="utf-8")
    assert "| plain | 100.0 | 90.0–200.0 | 1.000 |" in written
    assert "Batch 8, size 224 px, threads" in written
    assert "`python -m tests.bench.engine`" in written
