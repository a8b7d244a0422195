"""Flags and environment of the shop's server."""

import pytest

from lab.shop.settings import Settings, parse


def test_nothing_given_means_the_documented_plant() -> None:
    assert parse([], {}) == Settings()


def test_a_flag_wins_over_the_environment() -> None:
    environment = {"SHOP_COST_CPU_MS": "9", "SHOP_NAME": "shop-b", "SHOP_QUEUE_LENGTH": "3"}
    settings = parse(["--cost-cpu-ms", "12.5"], environment)
    assert (settings.cost_cpu_ms, settings.name, settings.queue_length) == (12.5, "shop-b", 3)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--workers", "0"], {}, "--workers: is 0; give a number from 1 to 64"),
        (["--cost-cpu-ms", "fast"], {}, "--cost-cpu-ms: is 'fast'; give a number"),
        ([], {"SHOP_SICK_FAILURE_SHARE": "nan"}, "--sick-failure-share: is nan; give a number from 0.0 to 1.0"),
        (["--name", "a\nb"], {}, "it becomes a header"),
        (["--port", "1.5"], {}, "--port: is '1.5'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_flag_and_what_to_give(
    arguments: list[str], environment: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, environment)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
