-- One of everything that a database can hold, for tests.
CREATE SCHEMA "Other Schema";
CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION pg_trgm SCHEMA "Other Schema";
CREATE TYPE public.mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE public.pair AS (a integer, b text);
CREATE DOMAIN public.positive AS integer CHECK (VALUE > 0);
CREATE COLLATION public.german FROM "C";
CREATE SEQUENCE public.alone START 100 INCREMENT 7;
SELECT nextval('public.alone'), nextval('public.alone');

CREATE TABLE public.types (
    id bigserial PRIMARY KEY,
    flag boolean, small smallint, whole integer, big bigint, exact numeric(30, 10), "real" real, "double" double precision,
    cash money, letters char(5), words varchar(200), body text COLLATE public.german, bytes bytea,
    day date, moment time, moment_tz timetz, stamp timestamp, stamp_tz timestamptz, span interval,
    id_ uuid, document json, binary_document jsonb, markup xml, net inet, wider cidr, card macaddr,
    bits bit(5), more_bits varbit, spot point, around circle, closed box, numbers integer[], words_2 text[][],
    feeling public.mood, two public.pair, more_than_none public.positive, span_of int4range, spans int4multirange,
    words_3 tsvector, question tsquery, page pg_lsn, area polygon,
    twice integer GENERATED ALWAYS AS (whole * 2) STORED
);
INSERT INTO public.types (flag, small, whole, big, exact, "real", "double", cash, letters, words, body, bytes, day, moment,
    moment_tz, stamp, stamp_tz, span, id_, document, binary_document, markup, net, wider, card, bits, more_bits, spot,
    around, closed, numbers, words_2, feeling, two, more_than_none, span_of, spans, words_3, question, page, area)
VALUES
 (true, -32768, 2000000000 / 2, 9223372036854775807, 12345678901234567890.0123456789, 1.5, 0.1, 12.34, 'ab',
  E'tab\t line\n backslash\\ quote'' "double"', E'żółw 日本語 🐢 \\. \\N', '\x00ff0a0d5c2e', '2024-02-29', '23:59:59.999999',
  '12:00+03', '1999-12-31 23:59:59', '2024-06-01 12:00+02', '1 year 2 months 3 days 04:05:06',
  '00000000-0000-0000-0000-000000000001', '{"a":  [1, null]}', '{"b": "\u00e9"}', '<a>&amp;</a>', '::1', '10.0.0.0/8',
  '08:00:2b:01:02:03', B'10101', B'1', '(1,2)', '<(0,0),1>', '((1,1),(0,0))', '{1,NULL,3}', '{{a,"b c"},{"",NULL}}',
  'it''s ok', '(1,"x,y")', 5, '[1,5)', '{[1,2),[5,7)}', 'a fat cat', 'fat & cat', '16/B374D848', '((0,0),(1,1),(1,0))'),
 (NULL, NULL, NULL, NULL, 'NaN', 'NaN', '-Infinity', NULL, NULL, '', '', '', 'infinity', NULL, NULL, '-infinity', NULL, NULL,
  NULL, 'null', '[]', NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, '{}', '{}', NULL, NULL, NULL, 'empty', '{}', '', '',
  NULL, NULL);

CREATE TABLE public.keyed (pairs public.hstore);
INSERT INTO public.keyed VALUES ('a=>1, "b c"=>NULL');
CREATE INDEX keyed_pairs ON public.keyed USING gin (pairs);
CREATE TABLE public.dumps (line text);
INSERT INTO public.dumps VALUES ('\.'), ('--'), ('-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -'), ('--'), (''),
 ('BEGIN;'), (''), ('SELECT pg_catalog.lo_open(''1'', 131072);'), (''), ('COMMIT;'), (''), ('\! false'), ('COPY a FROM stdin;');
CREATE TABLE public.documents (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, script text);
INSERT INTO public.documents (script) SELECT string_agg(line, E'\n') FROM public.dumps;

-- Foreign keys in a circle.
CREATE TABLE public.chicken (id integer PRIMARY KEY, egg integer NOT NULL);
CREATE TABLE public.egg (id integer PRIMARY KEY, chicken integer NOT NULL REFERENCES public.chicken DEFERRABLE);
ALTER TABLE public.chicken ADD FOREIGN KEY (egg) REFERENCES public.egg DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO public.chicken VALUES (1, 10), (2, 20);
INSERT INTO public.egg VALUES (10, 1), (20, 2);
COMMIT;

CREATE TABLE "Other Schema"."Odd ""Name"" 1.2" ("Order" integer, "select" text);
INSERT INTO "Other Schema"."Odd ""Name"" 1.2" VALUES (1, 'x');
CREATE TABLE public.parted (kind integer, note text) PARTITION BY LIST (kind);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES IN (1);
CREATE TABLE "Other Schema".parted_2 PARTITION OF public.parted DEFAULT;
INSERT INTO public.parted SELECT n % 3, 'note ' || n FROM generate_series(1, 300) n;
CREATE TABLE public.parent (id integer); CREATE TABLE public.child (more text) INHERITS (public.parent);
INSERT INTO public.parent VALUES (1); INSERT INTO public.child VALUES (2, 'b'), (3, 'c');
CREATE TABLE public.empty (); CREATE UNLOGGED TABLE public.forgotten (a integer); INSERT INTO public.forgotten VALUES (1);

CREATE FUNCTION public.shout(a text, OUT b text) LANGUAGE sql IMMUTABLE AS $$ SELECT upper(a) || '\d+'; $$;
CREATE PROCEDURE public.wipe() LANGUAGE plpgsql AS $body$ BEGIN DELETE FROM public.empty; END $body$;
CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := NEW.note || ''!''; RETURN NEW; END';
CREATE TRIGGER watched BEFORE INSERT ON public.parted_1 FOR EACH ROW EXECUTE FUNCTION public.watch();
CREATE AGGREGATE public.product(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1');
CREATE OPERATOR public.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE VIEW public.shouted AS SELECT public.shout(body) AS body FROM public.types;
CREATE VIEW public.again AS SELECT * FROM public.shouted;
CREATE MATERIALIZED VIEW public.kept AS SELECT kind, count(*) AS n FROM public.parted GROUP BY kind;
CREATE UNIQUE INDEX kept_kind ON public.kept (kind);
CREATE INDEX lower_words ON public.types (lower(words)) WHERE flag;
CREATE STATISTICS public.together ON kind, note FROM public.parted;
CREATE RULE nothing AS ON DELETE TO public.egg DO INSTEAD NOTHING;
ALTER TABLE public.types ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.types USING (flag);
COMMENT ON TABLE public.types IS E'two\nlines';
GRANT SELECT ON public.types TO PUBLIC;
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE PUBLICATION news FOR TABLE public.egg;
CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER ddl ON ddl_command_end EXECUTE FUNCTION public.on_ddl();
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE public.distant (a integer) SERVER far;
CREATE CAST (public.pair AS text) WITH INOUT;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
SELECT lo_from_bytea(5001, '\x00010203'), lo_from_bytea(5002, decode(repeat('ab', 100000), 'hex')), lo_create(5003);
COMMENT ON LARGE OBJECT 5001 IS 'one';
