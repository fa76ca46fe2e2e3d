"""When a bot is started again: how that is spelt, and which of two policies restarts more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import Executable
from botdock.errors import ExecutableError
from botdock.model import RestartOn, RestartPolicy
from botdock.model.restart import MAX_RESTARTS, restart_problem

POLICIES = st.sampled_from(RestartOn).map(RestartPolicy) | st.integers(1, MAX_RESTARTS).map(
    lambda most: RestartPolicy(RestartOn.FAILURE, most)
)


@given(POLICIES)
def test_a_policy_is_read_back_from_its_text(policy: RestartPolicy) -> None:
    assert RestartPolicy.parse(str(policy)) == policy
    assert restart_problem(str(policy)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (True, "must be one of 'no', 'on-failure', 'on-failure:5', 'always', not true"),
        (None, "not nothing"),
        ("", "'' is not a restart policy; write one of 'no', 'on-failure', 'on-failure:5', 'always'"),
        ("unless-stopped", "write 'always': what was stopped is never restarted"),
        ("on_failure", "did you mean 'on-failure'?"),
        ("On Failure:7", "did you mean 'on-failure:7'?"),
        ("onfailure", "did you mean 'on-failure'?"),
        ("never", "did you mean 'no'?"),
        ("allways", "did you mean 'always'?"),
        ("always:3", "'always:3' is not a restart policy; write one of"),
        ("on-failure:", "'on-failure:' is not a restart policy; write one of"),
        ("on-failure:0", "must name 1 to 1000000 restarts; 'no' means none"),
        ("on-failure:1000001", "must name 1 to 1000000 restarts"),
        ("on-failure:-1", "write one of"),
        ("on-failure:٣", "write one of"),
        ("x" * 1000, "is not a restart policy"),
    ],
)
def test_what_is_not_a_policy_is_told_with_what_was_meant(text: object, said: str) -> None:
    problem = restart_problem(text)
    assert problem is not None
    assert said in problem
    assert len(problem) < 200
    with pytest.raises(ValueError, match=r"restart|must be"):
        RestartPolicy.parse(text)


@given(st.text(max_size=30) | st.sampled_from(["always", "on-failure", "no"]).flatmap(lambda word: st.just(word[:-1])))
def test_any_text_is_a_policy_or_has_a_problem(text: str) -> None:
    if restart_problem(text) is None:
        assert isinstance(RestartPolicy.parse(text), RestartPolicy)


def test_each_policy_restarts_less_than_the_next() -> None:
    rising = [RestartPolicy.parse(text) for text in ("no", "on-failure:1", "on-failure:9", "on-failure", "always")]
    for place, less in enumerate(rising):
        for more in rising[place:]:
            assert less.within(more) == more.within(less) == less


def test_an_executable_takes_a_text_or_a_policy_and_tells_all_that_is_wrong_at_once() -> None:
    assert Executable(id="bot").restart is None
    policy = RestartPolicy(RestartOn.FAILURE, 5)
    assert Executable(id="bot", restart="on-failure:5").restart == policy
    assert Executable(id="bot", restart=policy).restart == policy
    with pytest.raises(ExecutableError) as caught:
        Executable(id="/", restart="unless-stopped")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["id", "restart"]
