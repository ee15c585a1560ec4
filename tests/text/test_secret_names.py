"""Names whose values nobody sees."""

from __future__ import annotations

import pytest

from celery_health.conf import DEFAULT_REDACT
from celery_health.text.secret_names import SecretNames

SECRET = [
    "password", "userPassword", "PASSWORD2", "dbpwd", "card_number", "cardNumber", "CARD-NUMBER",
    "card number", "cardNumber2", "apiKey", "X-Api-Key", "accessKey", "private-key", "ssn", "SSN", "user_ssn",
    "userSsn", "ssn2", "user[ssn]", "max_tokens",
]  # fmt: skip
SHOWN = [
    "businessName",
    "className",
    "classnames",
    "class_name",
    "user",
    "key",
    "",
    "Ärger",
]


@pytest.mark.parametrize("name", SECRET)
def test_secret_names__in_any_way_to_write_them(name: str) -> None:
    assert name in SecretNames(DEFAULT_REDACT)


@pytest.mark.parametrize("name", SHOWN)
def test_secret_names__not_within_other_words(name: str) -> None:
    assert name not in SecretNames(DEFAULT_REDACT)


def test_secret_names__of_a_projects_own() -> None:
    names = SecretNames(["Пароль", "PIN"])

    assert "мой_пароль" in names
    assert "userPin" in names
    assert "token" not in names
    assert "x" not in SecretNames([])
    assert "x" not in SecretNames(["_"])
