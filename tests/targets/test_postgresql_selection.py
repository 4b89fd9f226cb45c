from __future__ import annotations

import pytest

from backupkit.databases.postgresql_names import table_names
from backupkit.databases.programs import ClientError
from backupkit.targets.postgresql_selection import selected

LISTING = """\
;
; Archive created at 2026-11-26 10:06:01 UTC
;     Format: CUSTOM
;
6; 2615 16400 SCHEMA - s admin
226; 1255 16420 FUNCTION public f() admin
217; 1259 16394 TABLE public two words admin
221; 1259 16411 TABLE public fk admin
223; 1259 16426 TABLE public idt my owner
222; 1259 16425 SEQUENCE public idt_i_seq admin
;	depends on: 223
216; 1259 16386 TABLE public t admin
3405; 0 0 COMMENT public TABLE t admin
;	depends on: 216
3406; 0 0 ACL public TABLE t admin
;	depends on: 216
215; 1259 16385 SEQUENCE public t_id_seq admin
;	depends on: 216
3407; 0 0 SEQUENCE OWNED BY public t_id_seq admin
;	depends on: 215
225; 1259 16437 VIEW public vv admin
;	depends on: 216 216
219; 1259 16401 TABLE s p admin
;	depends on: 6
220; 1259 16404 TABLE s p1 admin
;	depends on: 6 219
230; 1259 16409 SEQUENCE s alone admin
;	depends on: 6
3232; 0 0 TABLE ATTACH s p1 admin
;	depends on: 220 219
3233; 2604 16389 DEFAULT public t id admin
;	depends on: 215 216 216
3389; 0 16394 TABLE DATA public two words admin
;	depends on: 217
3392; 0 16411 TABLE DATA public fk admin
;	depends on: 221
3388; 0 16386 TABLE DATA public t admin
;	depends on: 216
3391; 0 16404 TABLE DATA s p1 admin
;	depends on: 220
3409; 0 0 SEQUENCE SET public t_id_seq admin
;	depends on: 215
3398; 0 0 BLOBS - BLOBS admin
3235; 2606 16393 CONSTRAINT public t t_pkey admin
;	depends on: 216
3236; 1259 16419 INDEX public t_v_idx admin
;	depends on: 216
3382; 2618 16424 RULE public fk ru admin
;	depends on: 221 221 221
3239; 2620 16421 TRIGGER public t tr admin
;	depends on: 226 216
3238; 2606 16414 FK CONSTRAINT public fk fk_t_fkey admin
;	depends on: 3235 216 221
3386; 3256 16422 POLICY public t po admin
;	depends on: 216
3385; 0 16386 ROW SECURITY public t admin
;	depends on: 216
"""


HEADINGS = """\
-- TOC entry 6 (class 2615 OID 16400)
-- Name: s; Type: SCHEMA; Schema: -; Owner: admin
--
-- TOC entry 217 (class 1259 OID 16394)
-- Name: two words; Type: TABLE; Schema: public; Owner: admin
--
-- TOC entry 221 (class 1259 OID 16411)
-- Name: fk; Type: TABLE; Schema: public; Owner: admin; Tablespace: fast
--
-- TOC entry 223 (class 1259 OID 16426)
-- Name: idt; Type: TABLE; Schema: public; Owner: my owner
--
-- TOC entry 222 (class 1259 OID 16425)
-- Dependencies: 223
-- Name: idt_i_seq; Type: SEQUENCE; Schema: public; Owner: admin
--
-- TOC entry 216 (class 1259 OID 16386)
-- Name: t; Type: TABLE; Schema: public; Owner: admin
--
-- TOC entry 3405 (class 0 OID 0)
-- Dependencies: 216
-- Name: TABLE t; Type: COMMENT; Schema: public; Owner: admin
--
-- TOC entry 215 (class 1259 OID 16385)
-- Dependencies: 216
-- Name: t_id_seq; Type: SEQUENCE; Schema: public; Owner: admin
--
-- TOC entry 225 (class 1259 OID 16437)
-- Dependencies: 216 216
-- Name: vv; Type: VIEW; Schema: public; Owner: admin
--
-- TOC entry 219 (class 1259 OID 16401)
-- Dependencies: 6
-- Name: p; Type: TABLE; Schema: s; Owner: admin
--
-- TOC entry 220 (class 1259 OID 16404)
-- Dependencies: 6 219
-- Name: p1; Type: TABLE; Schema: s; Owner: admin
--
-- TOC entry 230 (class 1259 OID 16409)
-- Dependencies: 6
-- Name: alone; Type: SEQUENCE; Schema: s; Owner: admin
--
"""


def numbers(*tables: str, schemas: tuple[str, ...] = ("public", "s")) -> list[int]:
    lines = selected(LISTING, HEADINGS, table_names(tables, option="tables"), schemas).lines
    return [int(line.partition(";")[0]) for line in lines.splitlines()]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["t"], [216, 3405, 3406, 215, 3407, 3233, 3388, 3409, 3235, 3236, 3239, 3386, 3385]),
        (["fk"], [221, 3392, 3382]),
        (["two words"], [217, 3389]),
        (["idt"], [223, 222]),
        (["vv"], [225]),
        (["s.p1"], [220, 3391]),
        (["s.p*"], [219, 220, 3232, 3391]),
        (["p"], [219, 220, 3232, 3391]),
    ],
)
def test_a_table_brings_what_belongs_to_it_and_nothing_else(tables: list[str], expected: list[int]) -> None:
    assert numbers(*tables) == expected


def test_a_foreign_key_comes_with_both_of_its_tables() -> None:
    assert 3238 in numbers("t", "fk")


def test_a_schema_comes_only_where_it_is_missing_and_brings_nothing_else() -> None:
    assert numbers("s.p1", schemas=("public",)) == [6, 220, 3391]


def test_a_table_that_is_not_in_the_dump_is_named_beside_those_that_are() -> None:
    with pytest.raises(ClientError, match=r"no table 'orders' .* public.fk, .* correct the name"):
        numbers("t", "orders")


def test_part_of_a_name_is_no_name() -> None:
    """`two words admin` of the table of contents could be the table `two` of an owner `words admin`."""
    with pytest.raises(ClientError, match="no table 'two'"):
        numbers("two")


def test_a_schema_may_have_spaces() -> None:
    listing = "7; 2615 1 SCHEMA - Other Schema admin\n8; 1259 2 TABLE Other Schema t admin\n"
    headings = (
        "-- TOC entry 7 (class 2615 OID 1)\n-- Name: Other Schema; Type: SCHEMA; Schema: -; Owner: admin\n"
    )
    headings += (
        "-- TOC entry 8 (class 1259 OID 2)\n-- Name: t; Type: TABLE; Schema: Other Schema; Owner: admin\n"
    )
    chosen = selected(listing, headings, table_names(["Other Schema.t"], option="tables"), ["public"])
    assert chosen.lines == listing


def test_a_dump_whose_names_can_be_read_in_two_ways_is_refused() -> None:
    forged = HEADINGS + "-- TOC entry 217 (class 1259 OID 16394)\n"
    forged += "-- Name: two; Type: TABLE; Schema: public; Owner: words admin\n"
    with pytest.raises(ClientError, match=r"which part of 'public two words admin' .* is the name"):
        selected(LISTING, forged, table_names(["t"], option="tables"), ["public"])
