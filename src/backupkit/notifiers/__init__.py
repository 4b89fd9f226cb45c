"""Notifiers: mail and chat through Apprise, a signed webhook, a dead-man ping, a database table."""
