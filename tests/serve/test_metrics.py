"""Counters as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from candor.serve.metrics import BATCH_SIZES, SECONDS, Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_what_is_counted_is_written() -> None:
    metrics = Metrics()
    metrics.requests.labels("200").inc()
    metrics.verdicts.labels("NA", "false").inc(2)
    metrics.batch.observe(3)
    metrics.waiting.set_function(lambda: 5)
    found = samples(metrics)
    assert found["candor_requests_total[('status', '200')]"] == 1
    assert found["candor_verdicts_total[('accepted', 'false'), ('label', 'NA')]"] == 2
    assert found["candor_batch_size_bucket[('le', '2.0')]"] == 0
    assert found["candor_batch_size_bucket[('le', '4.0')]"] == 1
    assert found["candor_waiting[]"] == 5


def test_two_applications_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.seconds.observe(0.2)
    assert samples(one)["candor_request_seconds_count[]"] == 1
    assert samples(two)["candor_request_seconds_count[]"] == 0


def test_bounds_of_histograms_rise() -> None:
    assert list(SECONDS) == sorted(set(SECONDS))
    assert list(BATCH_SIZES) == sorted(set(BATCH_SIZES))
