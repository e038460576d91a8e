"""No sentence shows a password that was typed in a URL, wherever in an override or a file it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdar_cli.cli.main import main
from sdar_cli.errors import RunError, UserError, without_credentials
from sdar_cli.recipe.load import load_recipe

MARK = "Zq9xK"
"""In every password, so that a part of one that is shown is found."""
letters = st.characters(
    min_codepoint=33, max_codepoint=0x2FF, exclude_characters="'\"\\", exclude_categories=["C", "Z"]
)
PORT = re.compile(r"[0-9]{1,5}[/?#]")
"""What a password may not begin with: ``http://host:5000/a@b`` has none."""
passwords = (
    st.tuples(st.text(letters, max_size=9), st.text(letters, max_size=70))
    .map(MARK.join)
    .filter(lambda p: not PORT.match(p))
)
schemes = st.sampled_from(["http://", "https://", "postgresql+psycopg2://", "mysql://", "s3://", ""])
TYPED = (
    "tracking.urri={url}",
    "trackin.uri={url}",
    "tracking.uri=[{url!r}]",
    "tracking.uri={{a: {url!r}}}",
    "train.steps={url}",
    "train.steps={{a: [1, {url!r}]}}",
    "model.dtype={url}",
    "method={url}",
    "engine.server={url}",
    "engine.server_url={url}",
    "environment.options.size={url}",
    "environment.options.sise={url}",
    "environment.name={url}",
    "skills.source={url}",
    "extends={url}",
    "seed={url} ",
    "{url}",
    "{url}=5",
    "a b{url}",
    "train.steps=!{url} x",
)
fuzz = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(st.sampled_from(TYPED), schemes, passwords)
def test_no_error_of_an_override_shows_a_password(recipe: Path, typed: str, scheme: str, password: str) -> None:
    override = typed.format(url=f"{scheme}user:{password}@host.example:8000/path")
    _shows_nothing(recipe, [override])


@fuzz
@given(st.sampled_from(TYPED), st.sampled_from(["token", "api_key", "password", "X-Amz-Signature"]), passwords)
def test_nor_one_in_a_query(recipe: Path, typed: str, name: str, password: str) -> None:
    assume("&" not in password)
    _shows_nothing(recipe, [typed.format(url=f"http://host:8000/x?a=1&{name}={password}")])


@fuzz
@given(st.sampled_from(["train.steps", "train.stebs", "gate"]), st.text(" \t", min_size=1, max_size=2), passwords)
def test_a_space_is_a_letter_of_a_password(recipe: Path, key: str, space: str, password: str) -> None:
    assume("#" not in password)
    _shows_nothing(recipe, [f"{key}=http://user:my{space}{password}@host:8000"])


@fuzz
@given(
    st.sampled_from(["tracking:\n  urri: {0!r}", "train:\n  steps: {0!r}", "{0!r}: 1", "- {0!r}", "a: b: {0}"]),
    passwords,
)
def test_nor_one_of_a_file(recipe: Path, text: str, password: str) -> None:
    overlay = recipe.with_name("overlay.yaml")
    overlay.write_text(text.format(f"http://user:{password}@host"), encoding="utf-8")
    try:
        load_recipe(str(recipe), overlays=[overlay])
    except UserError as error:
        assert MARK not in str(error)


def _shows_nothing(recipe: Path, overrides: list[str]) -> None:
    try:
        resolved = load_recipe(str(recipe), overrides=overrides)
    except UserError as error:
        assert MARK not in str(error) and str(error)
    else:
        assert not any(MARK in origin for origin in resolved.origins.values())


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (
            "cannot reach http://me:pw@host:80/x?token=abc: start it",
            "cannot reach http://***@host:80/x?token=***: start it",
        ),
        ("tracking.uri=me:pw@host, which", "tracking.uri=***@host, which"),
        ("a.yaml:12: ask lee@example.org, or http://host:8000", None),
        ("sqlite:////home/a@b/mlflow.db is no store", None),
        ("10:30: mlflow-artifacts:/1/2 and file:///x", None),
        ("gate.beta=5&key", None),
        ("https://code.example/org/repo@main and file:/home/jane@uni/mlruns", None),
        ("https://h/x?sig=abc&a=b, http://h/#access_token=abc", "https://h/x?sig=***&a=b, http://h/#access_token=***"),
        ("sent Authorization: Bearer abc.def to it", "sent Authorization: Bearer *** to it"),
        ("https://ghp_abc@github.com/me/repo.git@main", "https://***@github.com/me/repo.git@main"),
        ("git+https://ghp_abc@github.com/me/repo.git@main: no", "git+https://***@github.com/me/repo.git@main: no"),
        ("https://tok@host/a@b", "https://***@host/a@b"),
        ("https://tok@host:443/a@b?c=d@e", "https://***@host:443/a@b?c=d@e"),
        ("https://hf_abc@host/mlflow/x@y", "https://***@host/mlflow/x@y"),
        ("https://me:a@b/c@host/x", "https://***@host/x"),
        ("https://me:pa/ss@host/x and http://me:p?a#b@host", "https://***@host/x and http://***@host"),
        ("https://me:443x/a@host and https://me:/a@host", "https://***@host and https://***@host"),
        ("http://node7:5000/a/@b", None),
        ("http://node7:5000/a/@b, http://node7/a:b/@c?d=e@f", None),
        ("http://[::1]:5000/a@b and node7:5000/a@b", None),
        ("http://[::1]:5000/a,me:pw@host/b", "http://[::1]:5000/a,***@host/b"),
        ("me:pw@host,https://tok@host/a@b", "***@host,https://***@host/a@b"),
        ("https://tok@one/a,https://tok@two/b", "https://***@one/a,https://***@two/b"),
        ("a://tok@one,b://tok@two", "a://***@one,b://***@two"),
        ("https%3A%2F%2Ftok%40host%2Fa%40b", "https%3A%2F%2F***%40host%2Fa%40b"),
        ("http%3A%2F%2Fnode7%3A5000%2Fa%40b and http%3A%2F%2Fnode7%2Fa%40b", None),
    ],
)
def test_what_is_no_secret_stays(typed: str, shown: str | None) -> None:
    assert without_credentials(typed) == (shown or typed)
    assert str(RunError(typed)) == (shown or typed)


@pytest.mark.parametrize(
    "text",
    [
        ";token",
        "a:",
        "a://",
        "a://@",
        "?key=",
        "&a=b",
        "http://a:b@",
        ";key=;",
        "a@b://",
        "a://b@",
        ":a/",
        "?a=",
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_long_texts_take_time_in_proportion(text: str, alone: bool) -> None:
    """A regular expression that tried every place as a beginning would take hours."""
    assert len(without_credentials(text * 200_000, alone=alone)) > 0


def test_a_token_alone_is_no_part_of_an_address(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri"):
        load_recipe(str(recipe), overrides=["tracking.uri=https://hf_TOKEN@host/mlflow/x@y"])
    uri = "http://node7:5000/a/@b"
    assert load_recipe(str(recipe), overrides=[f"tracking.uri={uri}"]).recipe.tracking.uri == uri


def test_the_sentence_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tracking.urri=http://me:secret@host:8000", "train.steps=http://me:secret@host:8000"]
    assert main(["train", "--recipe", "quickstart", "--dry-run", *words]) == 2
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "error: the override tracking.urri=http://***@host:8000: there is no key 'tracking.urri': did you mean "
        "'tracking.uri'?",
        "error: the override train.steps=http://***@host:8000: train.steps is 'http://***@host:8000', but must be a "
        "whole number: correct the value",
    ]


def test_nor_one_of_a_panels_source() -> None:
    from sdar_cli.evaluation.panel_source import of_environment

    url = f"http://me:{MARK}@host:8000"
    for override in (f"evaluation.tasks={url}", f"evaluatio.tasks={url}", f"evaluation.split=[{url}]"):
        with pytest.raises(UserError) as raised:
            of_environment("household", [override], {})
        assert "override" in str(raised.value) and MARK not in str(raised.value)
