"""What psql is told so that nothing of a database is left but what every new one has."""

from __future__ import annotations

_NOT_PART = """NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
        WHERE e.classid = {classid} AND e.objid = {objid} AND e.deptype IN ({kinds})
        AND e.refobjid <> e.objid)"""  # partitioned tables depend on their own columns
_OF_SYSTEM = "n.nspname LIKE 'pg\\_%' OR n.nspname = 'information_schema'"
# Objects of the server's own have numbers below 16384 (FirstNormalObjectId in access/transam.h).
_OWN = 16384


def _each(statement: str) -> str:
    return f"{statement}\n\\gexec\n"


def _dropped(catalog: str) -> str:
    """Drop what is in a catalog of objects that are in no schema."""
    return _each(f"""SELECT format('DROP %s IF EXISTS %s CASCADE', replace(i.type, '-', ' '), i.identity)
    FROM pg_catalog.{catalog} o, pg_catalog.pg_identify_object('{catalog}'::regclass, o.oid, 0) i
    WHERE o.oid >= {_OWN} AND {_NOT_PART.format(classid=f"'{catalog}'::regclass", objid="o.oid", kinds="'e'")}""")  # noqa: S608


_KINDS = "CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' "
_KINDS += "WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END"
_GRANTEE = "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"

CLEAR = "".join(
    (
        "SET LOCAL search_path = pg_catalog;\nSET LOCAL client_min_messages = warning;\n",
        _dropped("pg_event_trigger"),  # or they would fire at all that follows
        _dropped("pg_publication"),
        # Extensions of others are left, as those may have to be: scripts create them only if they are not there.
        _each(f"""SELECT format('DROP EXTENSION IF EXISTS %I CASCADE', x.extname) FROM pg_extension x
    WHERE x.oid >= {_OWN} AND pg_has_role(x.extowner, 'USAGE')"""),  # noqa: S608
        _each(f"""SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', n.nspname) FROM pg_namespace n
    WHERE NOT ({_OF_SYSTEM}) AND n.nspname <> 'public'
    AND {_NOT_PART.format(classid="'pg_namespace'::regclass", objid="n.oid", kinds="'e'")}"""),  # noqa: S608
        # What is part of something else goes with it: sequences of identity columns, arrays of types.
        # The schema public itself stays: not everyone who may fill it may drop it, and a script that pg_dump
        # wrote starts from the one that is there, with the grants that it was made with.
        _each(f"""SELECT format('DROP %s IF EXISTS %s CASCADE',
    CASE i.type WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics' ELSE i.type END,
    i.identity)
    FROM pg_depend d JOIN pg_namespace n ON n.oid = d.refobjid,
    pg_identify_object(d.classid, d.objid, 0) i
    WHERE d.refclassid = 'pg_namespace'::regclass AND n.nspname = 'public' AND d.deptype = 'n'
    AND d.classid NOT IN ('pg_extension'::regclass, 'pg_default_acl'::regclass)
    AND {_NOT_PART.format(classid="d.classid", objid="d.objid", kinds="'e', 'i'")}
    ORDER BY d.objid DESC"""),  # noqa: S608
        _each("""SELECT 'CREATE SCHEMA public' WHERE NOT EXISTS (
    SELECT 1 FROM pg_namespace WHERE nspname = 'public')"""),
        _dropped("pg_foreign_server"),
        _dropped("pg_foreign_data_wrapper"),
        _dropped("pg_cast"),
        _dropped("pg_language"),
        _dropped("pg_am"),
        "SELECT count(lo_unlink(l.oid)) FROM pg_largeobject_metadata l;\n",
        # What new objects of this user would be granted to others, were it left: back to what a server starts with.
        _each(f"""SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s REVOKE ALL ON %s FROM %s',
    pg_get_userbyid(d.defaclrole), CASE WHEN d.defaclnamespace = 0 THEN '' ELSE 'IN SCHEMA ' ||
    quote_ident((SELECT nspname FROM pg_namespace WHERE oid = d.defaclnamespace)) END, {_KINDS}, {_GRANTEE})
    FROM pg_default_acl d, aclexplode(d.defaclacl) a WHERE pg_has_role(d.defaclrole, 'USAGE')"""),  # noqa: S608
        _each(f"""SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT %s ON %s TO %s',
    pg_get_userbyid(d.defaclrole), a.privilege_type, {_KINDS}, {_GRANTEE})
    FROM pg_default_acl d,
    aclexplode(acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)) a
    WHERE d.defaclnamespace = 0 AND pg_has_role(d.defaclrole, 'USAGE')"""),  # noqa: S608
        # The grants on the schema public, for those who can have changed them.
        _each(f"""SELECT DISTINCT format('REVOKE ALL ON SCHEMA public FROM %s CASCADE', {_GRANTEE})
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.nspname = 'public' AND pg_has_role(n.nspowner, 'USAGE')"""),  # noqa: S608
        _each(f"""SELECT format('GRANT %s ON SCHEMA public TO %s', a.privilege_type, {_GRANTEE})
    FROM pg_namespace n JOIN pg_init_privs p ON p.classoid = 'pg_namespace'::regclass AND p.objoid = n.oid,
    aclexplode(p.initprivs) a
    WHERE n.nspname = 'public' AND pg_has_role(n.nspowner, 'USAGE')"""),  # noqa: S608
        "RESET search_path;\nRESET client_min_messages;\n",
    )
)
"""Statements, and `\\gexec`, for psql within a transaction; ON_ERROR_STOP must be set.

What a script of pg_dump does not hold either is left: the database's own settings, comment and grants.
"""

SUBSCRIPTIONS = "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
SUBSCRIPTIONS += " WHERE d.datname = current_database() ORDER BY 1"
