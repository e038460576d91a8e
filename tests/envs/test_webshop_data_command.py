"""``sdar data webshop``: what it shows, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from webshop_files import record, write

from sdar_cli.cli.main import main
from sdar_envs.webshop import titles


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["data", "webshop", *arguments])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return status or 0, captured.out, captured.err


def test_import_then_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, store = write(tmp_path / "source", [record(), record(), {"asin": "nan"}]), str(tmp_path / "store")
    status, out, err = run(capsys, "--from", str(source), "--data", store, "--json")
    shown = json.loads(out)
    assert (status, err) == (0, "")
    assert shown["folder"] == store
    assert len(shown["digest"]) == 64
    assert shown["bytes"] == sum(file.stat().st_size for file in Path(store).rglob("*") if file.is_file())
    counts = {key: value for key, value in shown.items() if key not in ("folder", "digest", "bytes", "title_matcher")}
    assert counts == {
        "products": 1,
        "with_options": 1,
        "synthetic_goals": 2,
        "human_goals": 1,
        "doubled_asins": 1,
        "unusable_asins": 1,
        "instructions_without_attributes": 0,
        "human_without_attributes": 0,
    }
    assert run(capsys, "--data", store, "--json") == run(capsys, "--check", "--data", store, "--json") == (0, out, "")
    status, out, err = run(capsys, "--data", store)
    assert status == 0
    assert "synthetic goals" in out
    assert err == f"store in {store}, content {shown['digest'][:16]}\ntitle matcher words\n"


def test_the_store_may_be_named_by_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDAR_WEBSHOP", str(tmp_path / "shop"))
    source = write(tmp_path / "source")
    (source / "items_human_ins.json").unlink()
    status, _, err = run(capsys, "--from", str(source / "items_shuffle.json"))
    assert status == 0
    assert (tmp_path / "shop" / "store.json").exists()
    assert err.startswith("there is no items_human_ins.json beside the products: ")


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--generate", "--size", "30", "--seed", "2", "--json")
    shown = json.loads(out)
    assert (status, shown["products"], shown["human_goals"]) == (0, 30, 6)
    status, out, err = run(capsys, "--generate", "--size", "30", "--seed", "2")
    assert status == 0
    assert "products" in out
    assert shown["folder"] in err


def test_the_title_matcher_is_the_one_that_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec, name in ((None, "words"), (object(), "en_core_web_sm")):
        monkeypatch.setattr(titles.importlib.util, "find_spec", lambda module, spec=spec: spec)
        _, out, _ = run(capsys, "--generate", "--size", "30", "--seed", "2", "--json")
        assert json.loads(out)["title_matcher"] == name
        _, _, err = run(capsys, "--generate", "--size", "30", "--seed", "2")
        assert err.endswith(f"\ntitle matcher {name}\n")


def test_check_reads_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run(capsys, "--from", str(write(tmp_path / "source")), "--data", str(store))[0] == 0
    index = store / "index" / "terms.bin"
    index.write_bytes(index.read_bytes().swapcase())
    status, out, err = run(capsys, "--data", str(store))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {index} has changed since it was written: ")


def test_damage_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = write(tmp_path / "source", [record(name=...)])
    status, out, err = run(capsys, "--from", str(source), "--data", str(tmp_path / "store"))
    assert (status, out) == (2, "")
    assert err == (
        f"error: {source / 'items_shuffle.json'}: record 1 (asin 'B000000001') has no 'name': "
        "restore the file from its source\n"
    )
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "/nowhere"), "error: there is no store in /nowhere: import WebShop's files with `sdar data web"),
        (("--from", "/nowhere"), "error: there is no /nowhere: name the folder that holds items_shuffle*.json and"),
        (("--from", "/nowhere", "--check"), "error: --from checks what it imports: leave out --check"),
        (("--generate", "--check"), "error: --generate makes products of its own: leave out --check, --from and"),
        (("--generate", "--data", "x"), "error: --generate makes products of its own: leave out --check, --from and"),
        (("--size", "3"), "error: --recipe, --size and --seed are for generated products: add --generate"),
        (("--generate", "--size", "0"), "error: --size must be at least 1, not 0: ask for more products"),
        (("--generate", "--recipe", "quickstart"), "error: the recipe quickstart does not use generated WebShop"),
    ],
)
def test_errors_are_one_sentence(arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1
