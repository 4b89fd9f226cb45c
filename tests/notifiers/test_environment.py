"""The environment of an application says who is told, as it does for laravel-backup."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import ConfigurationError
from backupkit.notifiers.environment import notifiers_from_env
from backupkit.notifiers.occasions import DEFAULT, EVERYTHING
from backupkit.notifiers.rendering import Renderer
from backupkit.notifiers.services import Discord, Mail, Slack, _service
from backupkit.testing.notices import notice
from tests.notifiers.receiving import DISCORD, HERE, SLACK, mail_server

MAIL = {"BACKUP_NOTIFICATION_EMAIL": "ops@shop.example"}


MESSAGE = Renderer().message(notice())


def services(environ: dict[str, str]) -> list[object]:
    return [_service(url) for notifier in notifiers_from_env(environ) for url in notifier._urls]


def mail(**environ: str) -> Mail:
    (service,) = services({**MAIL, **environ})
    assert isinstance(service, Mail)
    return service


def test_an_environment_that_names_nobody_tells_nobody() -> None:
    assert notifiers_from_env({"MAIL_HOST": "mail.example", "BACKUP_NOTIFICATION_EMAIL": " "}) == []


def test_each_service_is_a_notifier_by_itself() -> None:
    environ = {**MAIL, "BACKUP_SLACK_WEBHOOK_URL": SLACK, "BACKUP_DISCORD_WEBHOOK_URL": DISCORD}
    found = notifiers_from_env(environ, on=EVERYTHING, language="ko")
    assert [repr(one) for one in found] == [
        "AppriseNotifier(E-Mail)",
        "AppriseNotifier(Slack)",
        "AppriseNotifier(Discord)",
    ]
    assert [one.on for one in found] == [EVERYTHING] * 3
    assert found[0].message(notice()).subject == "shop 백업 성공"
    assert [type(one) for one in services(environ)] == [Mail, Slack, Discord]
    assert notifiers_from_env(environ)[0].on == DEFAULT


def test_mail_goes_to_this_machine_unless_told_otherwise() -> None:
    found = mail()
    assert (found.smtp_host, found.port, found.secure_mode) == ("localhost", 25, "insecure")
    assert (found.user, found.from_addr[1]) == (None, "ops@shop.example")
    assert [address for _, address in found.targets] == ["ops@shop.example"]


@pytest.mark.parametrize(
    ("encryption", "port", "mode", "used"),
    [
        ("tls", "", "starttls", 587),
        ("TLS", "2525", "starttls", 2525),
        ("tls", "465", "ssl", 465),
        ("starttls", "", "starttls", 587),
        ("ssl", "", "ssl", 465),
        ("null", "1025", "insecure", 1025),
        ("none", "", "insecure", 25),
    ],
)
def test_mail_is_encrypted_as_the_environment_says(encryption: str, port: str, mode: str, used: int) -> None:
    found = mail(MAIL_ENCRYPTION=encryption, MAIL_PORT=port)
    assert (found.secure_mode, found.port) == (mode, used)


@pytest.mark.parametrize("host", ["mail.example", "mail_server", "127.0.0.1", "smtp.gmail.com", "::1"])
def test_any_name_of_a_server_can_be_used(host: str) -> None:
    found = mail(MAIL_HOST=host, MAIL_PORT="2525")
    assert (found.smtp_host, found.port, found.secure_mode) == (host, 2525, "insecure")


# Only what a process can have in its environment: no NUL, no lone surrogates; blanks at the ends are dropped.
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text == text.strip() and text.lower() != "null"
)


@given(values, values | st.text(" x", min_size=3).filter(str.strip))
def test_user_and_password_may_be_anything(user: str, password: str) -> None:
    found = mail(MAIL_USERNAME=user, MAIL_PASSWORD=password, MAIL_HOST="mail.example")
    assert (found.user, found.password, found.smtp_host) == (user, password, "mail.example")


@given(values.filter(lambda text: text.isprintable() and len(text.encode()) <= 87))
def test_the_name_of_the_sender_arrives_as_it_is(name: str) -> None:
    sent = mail(MAIL_FROM_NAME=name, MAIL_FROM_ADDRESS="backup@shop.example")._mail(MESSAGE)
    (address,) = sent["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, "backup@shop.example")


def test_mail_arrives_at_several_addresses() -> None:
    with mail_server(login=("us@er", "p/w:@ #%+&=?")) as box:
        environ = {
            "BACKUP_NOTIFICATION_EMAIL": "ops@shop.example, dev+backup@shop.example",
            "MAIL_HOST": HERE,
            "MAIL_PORT": str(box.port),
            "MAIL_USERNAME": "us@er",
            "MAIL_PASSWORD": "p/w:@ #%+&=?",
            "MAIL_ENCRYPTION": "null",
            "MAIL_FROM_ADDRESS": "backup@shop.example",
            "MAIL_FROM_NAME": "백업, Inc.",
        }
        (notifier,) = notifiers_from_env(environ)
        notifier.notify(notice("run failed"))
    assert box.logged_in == [True]
    assert box.recipients == [["ops@shop.example", "dev+backup@shop.example"]]
    assert str(box.mails[0]["From"]) == '"백업, Inc." <backup@shop.example>'


@pytest.mark.parametrize("channel", ["#backups", "backups", "@ops"])
def test_slack_is_told_in_the_channel_that_is_named(channel: str) -> None:
    (slack,) = services({"BACKUP_SLACK_WEBHOOK_URL": SLACK, "BACKUP_SLACK_CHANNEL": channel})
    assert isinstance(slack, Slack)
    assert slack.channels == [channel.removeprefix("#")]  # Apprise puts it back


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"BACKUP_NOTIFICATION_EMAIL": "SECRET"}, "BACKUP_NOTIFICATION_EMAIL"),
        ({"BACKUP_NOTIFICATION_EMAIL": "a@x.example;SECRET@x.example"}, "BACKUP_NOTIFICATION_EMAIL"),
        ({"BACKUP_NOTIFICATION_EMAIL": "a@x.example,b@SECRET"}, "BACKUP_NOTIFICATION_EMAIL"),
        ({"BACKUP_NOTIFICATION_EMAIL": "a@x.example,운영@SECRET.example"}, "BACKUP_NOTIFICATION_EMAIL"),
        ({"BACKUP_NOTIFICATION_EMAIL": ","}, "BACKUP_NOTIFICATION_EMAIL"),
        ({**MAIL, "MAIL_PORT": "SECRET"}, "MAIL_PORT"),
        ({**MAIL, "MAIL_PORT": "65536"}, "MAIL_PORT"),
        ({**MAIL, "MAIL_PORT": "²"}, "MAIL_PORT"),
        ({**MAIL, "MAIL_HOST": "smtp://SECRET"}, "MAIL_HOST"),
        ({**MAIL, "MAIL_ENCRYPTION": "SECRET"}, "MAIL_ENCRYPTION"),
        ({**MAIL, "MAIL_FROM_ADDRESS": "SECRET"}, "MAIL_FROM_ADDRESS"),
        ({**MAIL, "MAIL_FROM_NAME": "x\r\nBcc: SECRET"}, "MAIL_FROM_NAME"),
        ({**MAIL, "MAIL_FROM_NAME": "SECRET" * 15}, "MAIL_FROM_NAME"),
        ({**MAIL, "MAIL_USERNAME": "SECRET"}, "MAIL_PASSWORD"),
        ({**MAIL, "MAIL_PASSWORD": "SECRET"}, "MAIL_USERNAME"),
        ({"BACKUP_SLACK_WEBHOOK_URL": "https://hooks.slack.com/SECRET"}, "BACKUP_SLACK_WEBHOOK_URL"),
        (
            {"BACKUP_SLACK_WEBHOOK_URL": SLACK, "BACKUP_SLACK_CHANNEL": "x&token=SECRET"},
            "BACKUP_SLACK_CHANNEL",
        ),
        ({"BACKUP_DISCORD_WEBHOOK_URL": "https://discord.com/SECRET"}, "BACKUP_DISCORD_WEBHOOK_URL"),
    ],
)
def test_what_cannot_be_right_is_refused_by_the_name_of_its_variable(
    environ: dict[str, str], variable: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^The environment variable {variable} ") as caught:
        notifiers_from_env(environ)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "url"), [("BACKUP_SLACK_WEBHOOK_URL", DISCORD), ("BACKUP_DISCORD_WEBHOOK_URL", SLACK)]
)
def test_a_service_under_the_name_of_another_is_refused(variable: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} does not begin with https://"):
        notifiers_from_env({variable: url})


def test_a_url_of_a_beta_version_of_discord_is_understood() -> None:
    (discord,) = services(
        {"BACKUP_DISCORD_WEBHOOK_URL": DISCORD.replace("discord.com", "canary.discord.com")}
    )
    assert isinstance(discord, Discord)


def test_a_wrong_language_is_not_blamed_on_a_variable() -> None:
    with pytest.raises(ConfigurationError, match=re.escape("no texts in the language 'kr'")):
        notifiers_from_env(MAIL, language="kr")
