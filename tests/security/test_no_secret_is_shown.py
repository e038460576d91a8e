"""No error shows a secret: one that stands in a URL, a header or a setting, or in this process's own environment."""

from __future__ import annotations

import json
import os
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.cli.errors import print_error
from sdar_cli.cli.main import main
from sdar_cli.credentials import without_credentials
from sdar_cli.errors import RunError, SdarError, several

SECRET = "Zq9xKw7Lm3"
SHOWN_WITHOUT = [
    "HF_TOKEN={}",
    "HF_TOKEN={}: set another",
    "export WANDB_API_KEY={} first",
    "AWS_SECRET_ACCESS_KEY='{}'",
    "PGPASSWORD={} psql",
    'MLFLOW_TRACKING_PASSWORD="{}",',
    "the file says hf_token={0}, api-key={0}",
    "password: {}",
    "x-api-key: {}",
    "sent Authorization: Bearer {} to it",
    "sent Authorization: Basic {}",
    "sent {{'Authorization': 'token {}'}}",
    'Authorization="{}"',
    '{{"Authorization": "Bearer {}"}}',
    'got {{"api_key": "{}", "n": 1}}',
    'got {{"token":"{}"}}',
    "got {{'client_secret': '{}'}}",
    'got "{{\\"access_token\\": \\"{}\\"}}"',
    "https://u:pa {}@h",
    "cannot reach https://me:a b {} c@host:80/x: start it",
    "http://me:1 {}@host",
    "https%3A%2F%2Fme%3A{}%40host%2Fx",
    "to=http%3a%2f%2fme%3aa%20{}%40host",
    "/login?next=%2Fx%3Ftoken%3D{}%26a%3Db",
    "hf_{0}{0}{0} was refused",
    "the file has password: {} in line 3",
    "password: abc{} in line 3",
    "sk-{0}-{0}",
    "https://me@there:{}@host/x",
    "http://h/x?api_key={}&b=c",
    "Authorization: ApiKey {}",
    "Authorization: {} is wrong",
    "('authorization', 'Basic {}')",
    "[(b'authorization', b'Basic {}')]",
    "headers {{b'authorization': b'Basic {}'}}",
    '"Authorization": "Own a {} b"',
    "('x-api-key', '{}')",
    "[(b'x-api-key', b'{}')]",
    "{{b'x-api-key': b'{}'}}",
    "api_key: {} is wrong",
    "http://h/x?accessToken={}",
    "http://h/x?SharedAccessKey={}&b=c",
    "http://h/x?apikey={}",
    "http://h/x?PassWord={}",
    "http://h/x?dbpassword={}",
    "postgresql://host/db?sslmode=require&sslpassword={}",
    "sk-{0}{0}",
    "sk-proj-ab_{0}-{0}",
    "me:{}@host/image:v1@sha256:abcd",
    "me:10:30{}@host",
    "http://h/x?myKey={}",
    "http://h/x?max_tokens={}",
    'Authorization: Token token="{}"',
    '-H "Authorization: Basic {}="',
]
PLAIN = [
    "no token: set it to at least 16 letters and digits",
    "the token is missing or wrong: send it as Authorization: Bearer",
    "rollout.max_response_tokens=512 and max_tokens=8, eos_token='<end>'",
    "the override gate.beta=5 has no key 'gate.betta': write KEY=VALUE",
    "the chat template's key: correct it, or token: leave it",
    'set "pad_token": "<pad>" in tokenizer_config.json',
    "http://host:8000 and http://other:80, or write to lee at example.org",
    "see http://[::1]:8000 or me@host",
    "Qwen/Qwen3-1.7B has 151,936 tokens: password",
    "ratio 40%3A and %40",
    "--engine holds a user or password: leave it out, and put the server's key into VLLM_API_KEY",
    "VllmGuard needs VLLM_API_KEY: set it to a secret",
    "/data/hf_quantised_checkpoints/sk-learn-random-forest-model",
    "http://host/v1?max_new_tokens=10&tokenizer=abc",
    "http://host/#/experiments/1?searchFilter=&orderByKey=attributes.start_time",
    "postgresql://host/db?sslmode=verify-full&sslkey=/etc/pg/client.key",
    "mysql://host/db?ssl_key=/etc/client.key",
    "token='<|im_end|>' and EOS_TOKEN=<|im_end|>",
    '{"token": "<pad>"}',
    "the class hf_AutoModelForCausalLM, and 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",
    "runs/sk-household-qwen-17b-sdar",
    "the image vllm/vllm-openai:v0.6@sha256:0a1b2c",
    "train at 10:30@node1, and (10:30:15@node1)",
    "the fields 'api_key', 'password' and 'token'",
]


@pytest.mark.parametrize("text", SHOWN_WITHOUT)
def test_each_place(text: str) -> None:
    shown = without_credentials(text.format(SECRET))
    assert SECRET not in shown and "***" in shown
    assert SECRET not in str(RunError(text.format(SECRET)))


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_stays(text: str) -> None:
    assert without_credentials(text) == text


def test_what_stands_around_it_stays() -> None:
    assert without_credentials('{"api_key": "abc", "n": 1}: see HF_TOKEN=x, then') == (
        '{"api_key": "***", "n": 1}: see HF_TOKEN=***, then'
    )
    assert without_credentials("at https://me:a b@host:80/x: start it") == "at https://***@host:80/x: start it"


@pytest.mark.parametrize("text", ["api_key: abcdef is wrong", "password: abcdef horse", "Authorization: abcdef ghijk"])
def test_a_word_of_small_letters_is_one_too(text: str) -> None:
    assert "abcdef" not in without_credentials(text)
    assert "ghijk" not in without_credentials(text)


def test_one_that_is_no_utf_8(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    value = b"\xff\xfe" + SECRET.encode()
    monkeypatch.setitem(os.environb, b"MY_TOKEN", value)
    assert main(["train", "--recipe", "no-such", "--dry-run"]) == 2
    assert "no-such" in capsys.readouterr().err
    for form in (os.fsdecode(value), repr(os.fsdecode(value)), quote(value, safe="")):
        assert SECRET not in str(RunError(f"it said {form}: try again"))


SENTENCES = ("{}", "it said {}: try again", "http://host/{}", "{{'a': '{}'}}", "x{}x{}", "\n{}\r{}")
WRITTEN = (str, repr, ascii, json.dumps, lambda value: quote(value, safe=""))
NAMES = ("HF_TOKEN", "SOME_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "MY_SECRET", "x_token")
values = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cs"]), min_size=8)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(NAMES), values.filter(lambda value: "***" not in value), *map(st.sampled_from, (SENTENCES, WRITTEN))
)
def test_no_secret_of_the_environment(name: str, value: str, sentence: str, written) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        text = sentence.replace("{}", written(value)).replace("{{", "{").replace("}}", "}")
        said = str(SdarError(text)) + str(SdarError(several([text, text])))
        forms = {write(value).strip("\"'") for write in WRITTEN} | {value}
        assert not [form for form in forms if form in said]


def test_nor_at_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SERVICES_API_KEY", SECRET)
    assert main(["train", "--recipe", f"q{SECRET}", "--dry-run"]) == 2
    assert main(["train", "--recipe", "quickstart", "--dry-run", f"train.steps={SECRET}", f"{SECRET}=1"]) == 2
    assert main(["train", f"--{SECRET}"]) == 2
    assert main(["train", "--recipe", f"http://me:a{SECRET}@host", "--debug"]) == 2
    print_error(f"a\n{SECRET}")
    out, err = capsys.readouterr()
    assert SECRET not in out + err and err.count("***") >= 6 and "Traceback" in err


@pytest.mark.parametrize("text", ["x", "a" * 7, ""])
def test_what_is_short_hides_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SHORT_KEY", text)
    assert without_credentials(f"a{text}b") == f"a{text}b"


@pytest.mark.parametrize(
    "text",
    [
        "password:",
        "password:a",
        "api_key='",
        "api_key=\"x api_key='",
        '"token": "\\',
        "Authorization:",
        "Authorization:'",
        "Authorization:\"Authorization:'",
        "'Authorization', '",
        "Authorization: a ",
        "('api_key','",
        "@sha256:a",
        "a:b@sha256:a",
        "10:30@",
        "sk-a-",
        "sk-aaaaaaaaa1",
        "?aB",
        "?aTokens=",
        "?tokens=1",
        "TOKEN=<|",
        "Bearer ",
        "://a:",
        "://a:b ",
        "://a::::",
        ":::::::",
        "%3A%2F%2F",
        "%3A%2F%2F%40",
        "%26token%3D",
        "hf_",
        "sk-",
        "sk-aaaaaaaaaaaaaaaaaaaa",
        "A_",
        "TOKEN =",
        "a" * 8,
    ],
)
def test_it_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What tried every place as a beginning would take hours."""
    monkeypatch.setenv("SOME_KEY", "a" * 8)
    began = time.process_time()
    for before in ("", "://", "://a:"):
        without_credentials(before + text * 10_000 + " ")
    assert time.process_time() - began < 20
