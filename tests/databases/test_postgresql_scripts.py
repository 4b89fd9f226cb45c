from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.postgresql_scripts import counted, is_whole, pieces

SCRIPT = rb"""--
-- PostgreSQL database dump
--

\restrict Key1

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: admin
--

CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT '

COPY public.not_a_table (a) FROM stdin;
1
' $$;


--
-- Data for Name: lines; Type: TABLE DATA; Schema: public; Owner: admin
--

COPY public.lines (line) FROM stdin;
--
-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: admin
--

COPY public.fake (a) FROM stdin;
BEGIN;
a\\.
\N
\.


--
-- Data for Name: Odd "Na me; Type: TABLE DATA; Schema: public; Owner: admin
--

COPY public."Odd ""Na
me" (a, "b
c") FROM stdin;
1	2
\.


--
-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: admin
--

COPY public.empty  FROM stdin;
\.


--
-- Data for Name: inserted; Type: TABLE DATA; Schema: public; Owner: admin
--

INSERT INTO public.inserted VALUES (1);


--
-- Data for Name: disabled; Type: TABLE DATA; Schema: public; Owner: admin
--

ALTER TABLE public.disabled DISABLE TRIGGER ALL;

COPY public.disabled (a) FROM stdin;
1
2
\.


ALTER TABLE public.disabled ENABLE TRIGGER ALL;

--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open('16409', 131072);
SELECT pg_catalog.lowrite(0, '\x0102');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- PostgreSQL database dump complete
--

\unrestrict Key1

"""
ROWS = {"public.lines": 8, 'public."Odd ""Na\nme"': 1, "public.empty": 0, "public.disabled": 2}
CUTS = st.lists(st.integers(0, len(SCRIPT)), max_size=8).map(sorted)


def cut(cuts: list[int]) -> list[bytes]:
    return [SCRIPT[start:end] for start, end in zip([0, *cuts], [*cuts, len(SCRIPT)], strict=True)]


@given(CUTS)
def test_rows_are_counted_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    rows: dict[str, int] = {}
    assert b"".join(counted(cut(cuts), rows)) == SCRIPT
    assert rows == ROWS


def test_rows_are_counted_byte_by_byte() -> None:
    rows: dict[str, int] = {}
    assert b"".join(counted([bytes([byte]) for byte in SCRIPT], rows)) == SCRIPT
    assert rows == ROWS


@given(CUTS)
def test_only_the_transaction_around_large_objects_is_told_apart(cuts: list[int]) -> None:
    told = list(pieces(cut(cuts)))
    assert b"".join(piece.data for piece in told) == SCRIPT
    assert b"".join(piece.data for piece in told if piece.kind == "transaction") == b"BEGIN;\nCOMMIT;\n"


def test_columns_in_many_quotes_take_no_time() -> None:
    begun = SCRIPT[: SCRIPT.index(b"COPY public.lines")] + b"COPY public.wide (" + b'"a", ' * 5000
    assert b"".join(counted([begun], {})) == begun


def test_a_script_is_whole_only_to_its_last_line() -> None:
    end = SCRIPT.rindex(b"Key1") + len("Key1")
    assert [length for length in range(len(SCRIPT)) if is_whole(SCRIPT[:4096], SCRIPT[:length])] == list(
        range(end, len(SCRIPT))
    )


@pytest.mark.parametrize(
    "script",
    [
        b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n",
        b"--\r\n-- PostgreSQL database dump\r\n--\r\n\r\n--\r\n-- PostgreSQL database dump complete\r\n--\r\n",
        b"--\n-- PostgreSQL database cluster dump\n--\n\n\\restrict K\n\n\\unrestrict K\n\n--\n"
        b"-- PostgreSQL database cluster dump complete\n--\n\n",
    ],
    ids=["without a key", "from Windows", "of roles"],
)
def test_scripts_of_every_kind_are_known_to_be_whole(script: bytes) -> None:
    assert is_whole(script, script)


@pytest.mark.parametrize(
    "tail",
    [
        b"\n--\n-- PostgreSQL database dump complete\n--\n\n1\t2\n",
        b"x-- PostgreSQL database dump complete\n--\n",
    ],
)
def test_the_last_line_counts_only_as_the_last(tail: bytes) -> None:
    assert not is_whole(b"", tail)
