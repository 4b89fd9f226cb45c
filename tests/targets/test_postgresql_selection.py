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


def numbers(*tables: str, schemas: tuple[str, ...] = ("public", "s")) -> list[int]:
    lines = selected(LISTING, table_names(tables, option="tables"), schemas)
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
    ],
)
def test_a_table_brings_what_belongs_to_it_and_nothing_else(tables: list[str], expected: list[int]) -> None:
    assert numbers(*tables) == expected


def test_a_foreign_key_comes_with_both_of_its_tables() -> None:
    assert 3238 in numbers("t", "fk")


def test_a_schema_comes_only_where_it_is_missing_and_brings_nothing_else() -> None:
    assert numbers("s.p", schemas=("public",)) == [6, 219]


def test_a_table_that_is_not_in_the_dump_is_named_beside_those_that_are() -> None:
    with pytest.raises(ClientError, match=r"no table 'orders' .* public.fk, .* correct the name"):
        numbers("t", "orders")
