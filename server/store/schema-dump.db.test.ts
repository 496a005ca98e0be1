import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { dumpSchema } from './schema-dump.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.owner.unsafe(`
    create table thing (
      id bigint generated always as identity primary key,
      name text default 'none',
      doubled bigint generated always as (id * 2) stored
    );
    create sequence counter;
    create type pair as (a int, b text);
    create domain small as int;
    create type mood as enum ('calm');
    create function one() returns int language sql as 'select 1';
    create function touch() returns trigger language plpgsql as 'begin return new; end';
    create trigger touched before update on thing for each row execute function touch();
    create view things as select id from thing`);
});

afterAll(async () => {
  await database.close();
});

/** The lines of a dump that another does not have. */
const added = (before: string, after: string) => {
  const known = new Set(before.split('\n'));
  return after.split('\n').filter((line) => !known.has(line));
};

describe('dumpSchema', () => {
  it('gives the same text for the same schema, whoever made it and whatever its tables hold', async () => {
    const before = await dumpSchema(database.owner);
    await database.owner`insert into thing (name) values ('a row')`;
    expect(await dumpSchema(database.owner)).toBe(before);
    expect(before).not.toContain('postgres');
  });

  it.each([
    [
      'a column',
      'alter table thing add size int not null default 0',
      '  size integer not null default 0,',
    ],
    ['a default', `alter table thing alter name set default 'x'`, `  name text default 'x'::text,`],
    ['a storage parameter', 'alter table thing set (fillfactor = 33)', ') with (fillfactor=33);'],
    [
      'a constraint',
      'alter table thing add constraint positive check (id > 0)',
      '  constraint positive CHECK (id > 0)',
    ],
    [
      'an index',
      'create index by_name on thing (name)',
      'CREATE INDEX by_name ON public.thing USING btree (name);',
    ],
    [
      'a disabled trigger',
      'alter table thing disable trigger touched',
      'CREATE TRIGGER touched BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION touch(); -- disabled',
    ],
    [
      'a function body',
      `create or replace function one() returns int language sql as 'select 2'`,
      'AS $function$select 2$function$;',
    ],
    [
      'an aggregate',
      'create aggregate total(bigint) (sfunc = int8pl, stype = bigint)',
      'create aggregate total(bigint) (sfunc = int8pl, stype = bigint);',
    ],
    ['a view', 'create or replace view things as select id, 1 as one from thing', '    1 AS one'],
    ['a composite type', 'alter type pair add attribute c uuid', '  c uuid'],
    ['an enum', `alter type mood add value 'glad'`, `create type mood as enum ('calm', 'glad');`],
    [
      'a domain',
      'alter domain small add constraint tiny check (value < 9)',
      '  constraint tiny CHECK (VALUE < 9);',
    ],
    [
      'a sequence',
      'alter sequence counter increment 5',
      'create sequence counter as bigint increment 5 minvalue 1 maxvalue 9223372036854775807 start 1 cache 1;',
    ],
    [
      'a privilege on a table',
      'grant update on thing to wallet_app',
      'grant update on thing to wallet_app;',
    ],
    [
      'a privilege on columns',
      'grant insert (name, id) on thing to wallet_app',
      'grant insert (id, name) on thing to wallet_app;',
    ],
    [
      'a privilege on a function',
      'grant execute on function one() to public',
      'grant execute on function one() to public;',
    ],
  ])('shows a change of %s', async (_, change, line) => {
    await database.owner.unsafe(`alter default privileges revoke execute on functions from public;
      revoke execute on function one() from public`);
    const before = await dumpSchema(database.owner);
    await database.owner.unsafe(change);
    expect(added(before, await dumpSchema(database.owner))).toContain(line);
  });

  it('shows a trigger, a generated column and an identity column', async () => {
    const dump = await dumpSchema(database.owner);
    expect(dump).toContain('  id bigint not null generated always as identity,');
    expect(dump).toContain('  doubled bigint generated always as ((id * 2)) stored,');
    expect(dump).toContain('CREATE TRIGGER touched BEFORE UPDATE ON thing');
  });

  it('refuses a schema with a kind of object that it would leave out', async () => {
    await database.owner`create materialized view copy as select 1 as one`;
    await expect(dumpSchema(database.owner)).rejects.toThrow(/cannot describe: relation copy/);
    await database.owner`drop materialized view copy`;
  });
});
