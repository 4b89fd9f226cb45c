"""What PostgreSQL's programs say when they fail, and what that means to whoever has to mend it."""

from __future__ import annotations

from backupkit.databases.programs import Outside, Passing, meaning_among


def meaning_of(said: str) -> str | None:
    """A sentence that says what happened and what to do, if what was said on standard error is known."""
    return meaning_among(_MEANINGS, said)


# What programs and servers say, the more exact first → what that means. A server may speak another language, so
# that it is the programs' own words that count where there are any.
_MEANINGS = (
    (
        r"password authentication failed|no password supplied|fe_sendauth",
        "The server refused the user or the password: correct them in the URL.",
    ),
    (
        r'FATAL:\s+role "[^"]*" does not exist',
        "The server knows no such user: correct the URL.",
    ),
    (
        r"no pg_hba\.conf entry",
        "The server lets nobody in from here as this user or without TLS: correct its pg_hba.conf or the URL.",
    ),
    (
        r"server version mismatch|unsupported version \(",
        "The client is older than the server or than the dump: install PostgreSQL's client programs of at least "
        "the server's version, and give their folder as tools=.",
    ),
    (
        r"no matching (tables|schemas|extensions) were found",
        "A table or schema that was asked for is not there: correct its name.",
    ),
    (
        r'database "[^"]*" does not exist',
        "There is no database of this name on the server: correct the URL.",
    ),
    (
        r"Connection refused|could not translate host name|No such file or directory Is the server|timeout expired"
        r"|Connection timed out|No route to host|Network is unreachable",
        Passing("The server cannot be reached: is it running, and are host, port and socket right?"),
    ),
    (
        r"too many clients|too many connections|remaining connection slots|the database system is starting up",
        Passing("The server takes no more connections for now: run this again later."),
    ),
    (
        r"conflict with recovery",
        Passing(
            "A standby cancelled the dump to keep up with its primary: raise max_standby_streaming_delay there, "
            "switch hot_standby_feedback on, or dump the primary."
        ),
    ),
    (
        r"server closed the connection|terminating connection|connection to server was lost|SSL SYSCALL error"
        r"|SSL connection has been closed|no connection to the server",
        Passing("The server went away in the middle: look at its log, and run this again."),
    ),
    (
        r"No space left on device|Disk quota exceeded|could not extend file|could not write block|disk is full",
        Outside("The server has no room left for the data: make some on its disk."),
    ),
    (
        r"out of memory",
        Outside("The server has no memory left: look at its log."),
    ),
    (
        r"lock timeout",
        Passing(
            "Another session holds tables of the database: stop the application that uses it, and run this again."
        ),
    ),
    (
        r"max_locks_per_transaction",
        "The server cannot lock that many tables and large objects at once: raise its max_locks_per_transaction.",
    ),
    (
        r"permission denied .*pg_authid",
        "The user may not read the passwords of roles: use a superuser, or leave them out with passwords=False.",
    ),
    (
        r"permission denied|must be owner|must be superuser|must be member|must be able to SET ROLE",
        "The user may not do all that this needs: grant it, or use a user who may.",
    ),
    (
        r"[Qq]uery was: LOCK TABLE",
        Passing(
            "A table was locked by another session for too long, or the user may not read it: let that session "
            "finish (pg_stat_activity shows it), or grant SELECT."
        ),
    ),
    (
        r'role "[^"]*" does not exist',
        "The dump names a role that this server does not have: create it there first (PostgreSQLRoles backs roles "
        "up), or dump with owners=False and privileges=False.",
    ),
    (
        r"has no equivalent in encoding|invalid byte sequence for encoding",
        "The database cannot hold the dump's text in its encoding: create it with ENCODING 'UTF8' TEMPLATE "
        "template0, or in the encoding of the database that was dumped.",
    ),
    (
        r"unrecognized configuration parameter",
        "The dump was made by newer programs than this server is: restore it to a server of at least the version "
        "that was dumped.",
    ),
    (
        r"extension \S+ is not available|could not open extension control file",
        "The server lacks an extension that the dump needs: install it there.",
    ),
)
