/** The schema as text, so that `db/schema.sql` can be compared with what migrations make. */
import { APP_ROLE, type Sql } from './sql.ts';

/**
 * Describes the schema `public` of a migrated database as text that reads like SQL: types,
 * sequences, functions, tables with all that hangs on them, views and privileges, each in the order
 * of its name. The same schema always gives the same text, so a check can compare it; it is for
 * reading, not for restoring. Object owners and the rows of tables are not part of it.
 * @throws Error when the schema holds a kind of object that the text would leave out
 */
export async function dumpSchema(sql: Sql): Promise<string> {
  await refuseUnknownKinds(sql);
  const sections: [string, string[]][] = [
    ['Role of the application', await describeRole(sql)],
    ['Types', await describeTypes(sql)],
    ['Sequences', await describeSequences(sql)],
    ['Functions', await describeFunctions(sql)],
    ['Tables', await describeTables(sql)],
    ['Views', await describeViews(sql)],
    ['Privileges', [(await describePrivileges(sql)).join('\n')]],
  ];
  const head = '-- The schema after all migrations, written by `npm run db:schema`. Do not edit.\n';
  return sections
    .filter(([, texts]) => texts.some((text) => text !== ''))
    .reduce((dump, [title, texts]) => `${dump}\n-- ${title}\n\n${texts.join('\n\n')}\n`, head);
}

/** Rows of one column `text`, in the order the query gives them. */
type Texts = { text: string }[];

const textsOf = (rows: Texts) => rows.map(({ text }) => text);

async function refuseUnknownKinds(sql: Sql): Promise<void> {
  const unknown = await sql<Texts>`
    select 'relation ' || oid::regclass as text from pg_class
      where relnamespace = 'public'::regnamespace
      and (relkind not in ('r', 'v', 'S', 'i', 'c') or relispartition or relrowsecurity)
    union all
    select 'type ' || oid::regtype from pg_type
      where typnamespace = 'public'::regnamespace and typtype not in ('b', 'c', 'd', 'e')
    union all
    select 'rule ' || rulename from pg_rewrite join pg_class c on c.oid = ev_class
      where c.relnamespace = 'public'::regnamespace and rulename <> '_RETURN'
    union all
    select 'schema ' || nspname from pg_namespace
      where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')
    union all
    select 'extension ' || extname from pg_extension where extname <> 'plpgsql'
    order by 1`;
  if (unknown.length === 0) return;
  throw new Error(`the schema dump cannot describe: ${textsOf(unknown).join(', ')}`);
}

async function describeRole(sql: Sql): Promise<string[]> {
  const rows = await sql<Texts>`
    select format('create role %I', rolname)
      || case when rolcanlogin then ' login' else ' nologin' end
      || case when rolsuper then ' superuser' else '' end
      || case when rolcreaterole then ' createrole' else '' end
      || case when rolcreatedb then ' createdb' else '' end
      || case when rolbypassrls then ' bypassrls' else '' end
      || case when rolreplication then ' replication' else '' end
      || coalesce((select ' in role ' || string_agg(quote_ident(g.rolname), ', ' order by g.rolname)
                   from pg_auth_members m join pg_roles g on g.oid = m.roleid
                   where m.member = r.oid), '')
      || ';' as text
    from pg_roles r where rolname = ${APP_ROLE}`;
  return textsOf(rows);
}

async function describeTypes(sql: Sql): Promise<string[]> {
  const rows = await sql<Texts>`
    select case t.typtype
      when 'c' then format(E'create type %s as (\n%s\n);', t.oid::regtype, (
        select string_agg(
          format('  %I %s', attname, format_type(atttypid, atttypmod)), E',\n' order by attnum)
        from pg_attribute where attrelid = t.typrelid and attnum > 0 and not attisdropped))
      when 'e' then format('create type %s as enum (%s);', t.oid::regtype, (
        select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder)
        from pg_enum where enumtypid = t.oid))
      else format('create domain %s as %s', t.oid::regtype, format_type(typbasetype, typtypmod))
        || coalesce((select format(' collate %I', collname) from pg_collation where oid = typcollation
             and typcollation <> (select b.typcollation from pg_type b where b.oid = t.typbasetype)), '')
        || coalesce(' default ' || typdefault, '')
        || case when typnotnull then ' not null' else '' end
        || coalesce((select string_agg(
             format(E'\n  constraint %I %s', conname, pg_get_constraintdef(oid, true)), ''
             order by conname collate "C")
           from pg_constraint where contypid = t.oid and contype = 'c'), '')
        || ';'
      end as text
    from pg_type t left join pg_class c on c.oid = t.typrelid
    where t.typnamespace = 'public'::regnamespace
      and (t.typtype in ('d', 'e') or c.relkind = 'c')
    order by t.typname collate "C"`;
  return textsOf(rows);
}

async function describeSequences(sql: Sql): Promise<string[]> {
  // An identity column owns its sequence internally ('i'), and is described with its table.
  const rows = await sql<Texts>`
    select format('create sequence %s as %s increment %s minvalue %s maxvalue %s start %s cache %s%s;',
      c.oid::regclass, format_type(seqtypid, null), seqincrement, seqmin, seqmax, seqstart, seqcache,
      case when seqcycle then ' cycle' else '' end) as text
    from pg_sequence s join pg_class c on c.oid = s.seqrelid
    where c.relnamespace = 'public'::regnamespace and not exists (
      select from pg_depend where objid = c.oid and classid = 'pg_class'::regclass and deptype = 'i')
    order by c.relname collate "C"`;
  return textsOf(rows);
}

async function describeFunctions(sql: Sql): Promise<string[]> {
  const rows = await sql<Texts>`
    select case when prokind = 'a'
      then (select format('create aggregate %s (sfunc = %s, stype = %s%s%s);', p.oid::regprocedure,
              aggtransfn, format_type(aggtranstype, null),
              case when aggfinalfn = 0 then '' else ', finalfunc = ' || aggfinalfn end,
              coalesce(', initcond = ' || quote_literal(agginitval), ''))
            from pg_aggregate where aggfnoid = p.oid)
      else rtrim(pg_get_functiondef(oid), E'\n') || ';' end as text
    from pg_proc p where pronamespace = 'public'::regnamespace
    order by proname collate "C", pg_get_function_identity_arguments(oid) collate "C"`;
  return textsOf(rows);
}

async function describeTables(sql: Sql): Promise<string[]> {
  const tables = await sql<{ oid: number; head: string; tail: string }[]>`
    select oid, format('create %stable %s (',
        case relpersistence when 'u' then 'unlogged ' else '' end, oid::regclass) as head,
      ')' || coalesce(' with (' || array_to_string(reloptions, ', ') || ')', '') || ';' as tail
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    order by relname collate "C"`;
  const texts: string[] = [];
  for (const { oid, head, tail } of tables) {
    const inside = [...(await describeColumns(sql, oid)), ...(await describeConstraints(sql, oid))];
    const statements = [
      ...(await describeIndexes(sql, oid)),
      ...(await describeTriggers(sql, oid)),
    ];
    texts.push([head, `${inside.join(',\n')}\n${tail}`, ...statements].join('\n'));
  }
  return texts;
}

async function describeColumns(sql: Sql, table: number): Promise<string[]> {
  const rows = await sql<Texts>`
    select format('  %I %s', attname, format_type(atttypid, atttypmod))
      || coalesce((select format(' collate %I', collname) from pg_collation
           where oid = attcollation and oid <> typcollation), '')
      || case when attnotnull then ' not null' else '' end
      || case attidentity when 'a' then ' generated always as identity'
           when 'd' then ' generated by default as identity' else '' end
      || case attgenerated when '' then coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
           else format(' generated always as (%s) %s', pg_get_expr(adbin, adrelid),
             case attgenerated when 's' then 'stored' else 'virtual' end) end as text
    from pg_attribute a join pg_type t on t.oid = atttypid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attrelid = ${table} and attnum > 0 and not attisdropped
    order by attnum`;
  return textsOf(rows);
}

async function describeConstraints(sql: Sql, table: number): Promise<string[]> {
  // Kind 'n' is NOT NULL, which is a constraint since PostgreSQL 18 and stands with its column.
  const rows = await sql<Texts>`
    select format('  constraint %I %s', conname, pg_get_constraintdef(oid, true)) as text
    from pg_constraint where conrelid = ${table} and contype not in ('n', 't')
    order by array_position('{p,u,x,c,f}'::"char"[], contype), conname collate "C"`;
  return textsOf(rows);
}

async function describeIndexes(sql: Sql, table: number): Promise<string[]> {
  const rows = await sql<Texts>`
    select pg_get_indexdef(indexrelid) || ';' as text
    from pg_index join pg_class c on c.oid = indexrelid
    where indrelid = ${table} and not exists (
      select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
    order by c.relname collate "C"`;
  return textsOf(rows);
}

async function describeTriggers(sql: Sql, table: number): Promise<string[]> {
  const rows = await sql<Texts>`
    select pg_get_triggerdef(oid, true)
      || case tgenabled when 'O' then ';' when 'A' then '; -- always' when 'R' then '; -- on replicas'
           else '; -- disabled' end as text
    from pg_trigger where tgrelid = ${table} and not tgisinternal
    order by tgname collate "C"`;
  return textsOf(rows);
}

async function describeViews(sql: Sql): Promise<string[]> {
  const rows = await sql<Texts>`
    select format(E'create view %s%s as\n%s', oid::regclass,
      coalesce(' with (' || array_to_string(reloptions, ', ') || ')', ''),
      pg_get_viewdef(oid, true)) as text
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'
    order by relname collate "C"`;
  return textsOf(rows);
}

/** What others than an object's owner may do with it. `acldefault` stands for what nobody set. */
async function describePrivileges(sql: Sql): Promise<string[]> {
  const rows = await sql<Texts>`
    with objects (kind, name, columns, acl, owner) as (
      select 1, 'schema ' || nspname, '', coalesce(nspacl, acldefault('n', nspowner)), nspowner
        from pg_namespace where nspname = 'public'
      union all
      select 2, oid::regclass::text, '',
        coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)),
        relowner
        from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
      union all
      select 3, c.oid::regclass::text, quote_ident(attname), attacl, relowner
        from pg_class c join pg_attribute on attrelid = c.oid
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and attacl is not null
      union all
      select 4, 'function ' || oid::regprocedure, '', coalesce(proacl, acldefault('f', proowner)),
        proowner from pg_proc where pronamespace = 'public'::regnamespace
      union all
      select 5, 'new ' || case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
          when 'f' then 'functions' when 'T' then 'types' else 'schemas' end, '', defaclacl, defaclrole
        from pg_default_acl
    ), granted as (
      select kind, name, lower(privilege_type) as privilege, is_grantable, columns,
        case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee
      from objects, aclexplode(acl) where grantee <> owner
    ), by_privilege as (
      select kind, name, grantee, is_grantable, privilege || case when kind = 3
        then ' (' || string_agg(columns, ', ' order by columns collate "C") || ')' else '' end as what
      from granted group by kind, name, grantee, is_grantable, privilege
    )
    select format('grant %s on %s to %s%s;', string_agg(what, ', ' order by what collate "C"), name,
      grantee, case when is_grantable then ' with grant option' else '' end) as text
    from by_privilege group by kind, name, grantee, is_grantable
    order by kind, name collate "C", grantee collate "C", is_grantable`;
  return textsOf(rows);
}
