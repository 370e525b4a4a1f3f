"""Settings: profiles in, checked, overridden, and written out unchanged."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from anogan.config import Config, load_config, profile_names


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_of_the_package_is_valid_and_explains_itself(name: str) -> None:
    config = load_config(name)
    assert config.name == name
    assert config.description


def test_the_promised_profiles_are_there() -> None:
    assert {"blood-smear", "brain-mri", "color", "gray", "tiny"} <= set(profile_names())


@pytest.mark.parametrize(("profile", "channels"), [("gray", 1), ("color", 3)])
def test_the_general_profiles_assume_nothing(profile: str, channels: int) -> None:
    config = load_config(profile)
    assert config.input.channels == channels
    assert config.gate == type(config.gate)()
    turned = config.augmentation.flip_horizontal, config.augmentation.flip_vertical, config.augmentation.rotate
    assert not any(turned)


@pytest.mark.parametrize("name", profile_names())
def test_settings_survive_a_round_trip_through_toml(name: str, tmp_path: Path) -> None:
    config = load_config(name, ["training.steps=123"])
    path = tmp_path / "profile.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert load_config(path) == config
    assert load_config(path).to_toml() == config.to_toml()  # a resumed training compares the texts


def test_overrides_are_read_as_toml_values() -> None:
    config = load_config(
        "tiny", ["training.steps=7", "augmentation.rotate=true", 'description="mine"', "input.intensity=percentile"]
    )
    assert config.training.steps == 7
    assert config.augmentation.rotate is True
    assert config.description == "mine"
    assert config.input.intensity == "percentile"  # bare text is taken as text


def test_a_window_is_named_or_a_center_and_a_width() -> None:
    assert load_config("tiny").input.window == "first"
    assert load_config("tiny", ["input.window=lung"]).input.window == "lung"
    config = load_config("tiny", ["input.window=[40, 400]"])
    assert config.input.window == (40, 400)
    assert Config.model_validate(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("window", ["[40, 0]", "[40]", "[40, inf]", "5", '""', '["a", 3]', "true"])
def test_what_is_no_window(window: str) -> None:
    with pytest.raises(ValueError, match=r"input\.window: must be first, the name of a window, or \[center, width\]"):
        load_config("tiny", [f"input.window={window}"])


def test_the_last_override_wins() -> None:
    assert load_config("tiny", ["training.seed=1", "training.seed=2"]).training.seed == 2


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.stpes=7", "training.stpes: Extra inputs are not permitted"),
        ("training.steps=0", "training.steps: Input should be greater than or equal to 1, got 0"),
        ("training.steps=many", "training.steps: .*valid integer.*got 'many'"),
        ("input.size=50", "input.size: must be a multiple of 16 at this size, got 50"),
        ("input.size=144", "input.size: must be a multiple of 32 at this size, got 144"),
        ("input.channels=2", "input.channels: Input should be 1 or 3, got 2"),
        ("training.steps", "expected section.key=value"),
        ("=3", "expected section.key=value"),
        ("name.first=3", "name is a value, not a section"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        load_config("tiny", [override])
    assert "\n" not in str(caught.value)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="brain-scan: unknown; give a .toml file or one of .*brain-mri"):
        load_config("brain-scan")


def test_a_missing_file_and_a_broken_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere.toml: there is no such file"):
        load_config(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("training = [", encoding="utf-8")
    with pytest.raises(ValueError, match="broken.toml: not valid TOML"):
        load_config(broken)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().training.steps = 3  # type: ignore[misc]
