"""Slack and Discord, with fields that are fields. Imports apprise: see `services`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from apprise import NotifyType
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack, SlackMode

from backupkit.notifiers.rendering import Message
from backupkit.notifiers.statements import Pair


class Slack(NotifySlack):  # type: ignore[misc]
    """Block Kit, with the fields as fields. Apprise asks `gen_payload` for a template's blocks; these are ours."""

    message: Message
    template: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # A user's own template, and workflows, which take one text, go Apprise's way.
        self.shows_fields = not self.template and self.mode in (
            SlackMode.WEBHOOK,
            SlackMode.WEBHOOK_GOV,
            SlackMode.BOT,
        )
        if self.shows_fields:
            self.template = self.use_blocks = True

    def gen_payload(
        self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any
    ) -> dict[str, Any]:
        message = self.message
        header = {"type": "plain_text", "text": message.subject[:150], "emoji": False}
        blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
        blocks.append({"type": "section", "text": _mrkdwn(_slack(message.lead), 3000)})
        for group in _groups(message.fields, most=10):
            texts = [_mrkdwn(f"*{_slack(label)}*\n{_slack(value)}", 2000) for label, value in group]
            if len(group) == 1 and _is_wide(group[0]):
                blocks.append({"type": "section", "text": texts[0]})
            else:
                blocks.append({"type": "section", "fields": texts})
        return {"color": self.color(notify_type), "fallback": message.subject, "blocks": blocks[:50]}


class Discord(NotifyDiscord):  # type: ignore[misc]
    """An embed, with the fields as fields. Apprise asks `gen_payload` for what a template says; this is ours."""

    message: Message
    template: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.shows_fields = not self.template
        if self.shows_fields:
            self.template = True

    def gen_payload(
        self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any
    ) -> dict[str, Any]:
        message = self.message
        # All of it together stays far below the 6000 characters that an embed may have.
        embed = {
            "title": _discord(message.subject, 256),
            "description": _discord(message.lead, 2000),
            "color": self.color(notify_type, int),
            "fields": [
                {
                    "name": _discord(label, 256),
                    "value": _discord(value, 1024),
                    "inline": not _is_wide((label, value)),
                }
                for label, value in message.fields[:25]
            ],
        }
        # Nobody is pinged by what a file is called.
        return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _groups(fields: Sequence[Pair], *, most: int) -> Iterator[list[Pair]]:
    """Yield the fields in groups that fit one block; a wide one is a group by itself."""
    group: list[Pair] = []
    for field in fields:
        if group and (_is_wide(field) or len(group) == most):
            yield group
            group = []
        group.append(field)
        if _is_wide(field):
            yield group
            group = []
    if group:
        yield group


def _is_wide(field: Pair) -> bool:
    return "\n" in field[1] or len(field[1]) > 60


def _mrkdwn(text: str, limit: int) -> dict[str, Any]:
    # Verbatim: no link or mention is made of what only looks like one.
    return {
        "type": "mrkdwn",
        "text": text if len(text) <= limit else f"{text[: limit - 1]}…",
        "verbatim": True,
    }


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _discord(text: str, limit: int) -> str:
    """The text with Discord's Markdown written out, cut to so many characters."""
    escaped = re.sub(r"([\\*_~`|>#\[\]<])", r"\\\1", text)
    return escaped if len(escaped) <= limit else f"{escaped[: limit - 2].rstrip(chr(92))}…"
