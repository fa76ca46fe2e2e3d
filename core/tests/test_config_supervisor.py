"""The settings of the supervisor, of restarts and of notifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from botdock.config import Config, NotifyConfig, document, secrets_of
from botdock.errors import ConfigError, UserError
from botdock.model import Executable, NotificationKind
from botdock.supervisor import submit

HOOK = "https://example.org/hook/7f3a9c"


def test_without_settings_nothing_is_told_and_a_failure_is_what_would_be() -> None:
    notify = Config().notify
    assert (notify.command, notify.webhook) == ((), "")
    assert notify.events == tuple(kind.value for kind in NotificationKind)
    assert not {"succeeded", "stopped"} & set(notify.outcomes)
    assert {"failed", "lost", "timed_out", "oom_killed"} <= set(notify.outcomes)


def test_all_that_can_be_said_is_read() -> None:
    said: dict[str, Any] = {
        "supervisor": {"parallel": 5, "queue": 0, "backoff": "250ms", "max_backoff": "1m", "stable": "2m"},
        "notify": {"command": ["/bin/mail", "-s", "bot"], "webhook": HOOK, "events": ["crash_loop"], "interval": "0s"},
        "policy": {"max_restart": "on-failure:9", "manifest_restart": "no"},
    }
    config = Config.load(environ={}, overrides=said)
    assert (config.supervisor.backoff, config.supervisor.max_backoff, config.supervisor.stable) == (0.25, 60, 120)
    assert config.notify.command == ("/bin/mail", "-s", "bot")
    assert (config.policy.max_restart, config.policy.manifest_restart) == ("on-failure:9", "no")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"supervisor": {"parallel": 0}}, "supervisor.parallel: 0 must be 1 to"),
        ({"supervisor": {"queue": -1}}, "supervisor.queue: -1 must be 0 to"),
        ({"supervisor": {"backoff": 0}}, "supervisor.backoff: 0.0 must be 0.001 to"),
        ({"notify": {"events": ["crashloop"]}}, "notify.events: 'crashloop' is not an event; did you mean crash_loop?"),
        (
            {"notify": {"events": ["x"]}},
            "notify.events: 'x' is not an event; there are: outcome, crash_loop",
        ),
        ({"notify": {"outcomes": ["fail"]}}, "notify.outcomes: 'fail' is not an outcome; did you mean failed?"),
        ({"notify": {"command": "mail"}}, "notify.command: must be a list, not text"),
        *(
            ({"notify": {"webhook": address}}, "notify.webhook: must be the address of a host, by http or https")
            for address in (
                "example.org",
                "file:///etc/passwd",
                "https:///x",
                "http://a:x/",
                "http://a b",
                "http://a\r\nX: y",
            )
        ),
        (
            {"policy": {"max_restart": "never"}},
            "policy.max_restart: 'never' is not a restart policy; did you mean 'no'?",
        ),
        ({"policy": {"manifest_restart": "on-failure:0"}}, "policy.manifest_restart: 'on-failure:0' must name 1 to"),
    ],
)
def test_a_wrong_value_is_told_with_what_mends_it(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(environ={}, overrides=overrides)
    (problem,) = caught.value.problems
    assert problem.startswith(f"overrides (options, --set): {said}")


def test_the_address_of_a_webhook_is_a_secret_since_it_lets_others_write_there() -> None:
    config = Config(notify=NotifyConfig(webhook=HOOK))
    assert HOOK not in repr(config)
    assert document(config)["notify"]["webhook"] == "***"
    assert HOOK in secrets_of(config)


@pytest.mark.parametrize(
    "changes", [{"metrics": {"interval": 1.0}}, {"supervisor": {"backoff": 9.0}}, {"notify": {"free_bytes": 1}}]
)
def test_what_holds_for_all_executions_is_not_changed_for_one(changes: dict[str, Any], tmp_path: Path) -> None:
    (section,) = changes
    with pytest.raises(UserError, match=rf"{section}\.\* cannot be changed for one execution"):
        submit(Executable(id="sma", file_path="."), overrides={**changes, "home": str(tmp_path / "home")}, spawn=False)
