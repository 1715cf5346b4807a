"""Names are safe as file names, unit instances and runtime ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.names import MAX_LENGTH, check_name, is_name, name_of_service, scope_unit, service_unit


@pytest.mark.parametrize("name", ["a", "web", "Web-1", "0", "shop-web-1", "a.b_c-d", "x" * MAX_LENGTH])
def test_valid_names(name: str) -> None:
    """Letters, digits, '_', '.' and '-' after a letter or digit."""
    assert check_name(name) == name
    assert name_of_service(service_unit(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "-rf", ".hidden", "_a", "a b", "a@b", "a\n", "a\0", "é", "\u0661", "a:b", "x" * 300],
)
def test_invalid_names_are_refused_with_a_reason(name: str) -> None:
    """What could leave a directory, look like an option or need escaping is no name."""
    with pytest.raises(UserError) as raised:
        check_name(name, "volume name")
    assert str(raised.value).startswith("volume name ")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "unit", ["ctr@.service", "ctr@a b.service", "ctr@a.scope", "web.service", "ctr@../x.service", ""]
)
def test_other_units_have_no_name(unit: str) -> None:
    """Only ``ctr@NAME.service`` with a valid NAME is a container's unit."""
    assert name_of_service(unit) is None


@given(st.text(max_size=140))
def test_a_name_is_one_path_component_and_a_unit_name(text: str) -> None:
    """Whatever is accepted needs no escaping anywhere and keeps unit names below systemd's 255 characters."""
    if is_name(text):
        assert text.isascii() and text not in (".", "..") and not set(text) & set("/@\\:%$ \n\0")
        assert len(f"ctr-healthy@{text}.service") < 255
        assert scope_unit(text) == f"ctr-{text}.scope"
    else:
        with pytest.raises(UserError):
            check_name(text)
