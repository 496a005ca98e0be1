import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { startTemporaryPostgres } from '../dev/temporary-postgres.ts';
import { migrate } from '../store/migrate.ts';
import { dumpSchema } from '../store/schema-dump.ts';
import { connect } from '../store/sql.ts';

const SCHEMA_FILE = fileURLToPath(new URL('../../db/schema.sql', import.meta.url));
const USAGE = 'db:schema: give --check (is db/schema.sql what the migrations make?) or --write';

/** `npm run db:schema`: db/schema.sql shows, and a review sees, what the migrations amount to. */
async function main(args: readonly string[]): Promise<number> {
  const [mode] = args;
  if (args.length !== 1 || (mode !== '--check' && mode !== '--write')) {
    console.error(USAGE);
    return 2;
  }
  const made = await migratedSchema();
  if (mode === '--write') {
    await writeFile(SCHEMA_FILE, made);
    console.log('db/schema.sql written');
    return 0;
  }
  const kept = await readFile(SCHEMA_FILE, 'utf8').catch(() => '');
  if (kept === made) {
    console.log('db/schema.sql is what the migrations make');
    return 0;
  }
  console.error(firstDifference(kept.split('\n'), made.split('\n')));
  return 1;
}

async function migratedSchema(): Promise<string> {
  // Older versions put views in other words, so the file is always that of the package's PostgreSQL.
  delete process.env.POSTGRES_BIN;
  const server = await startTemporaryPostgres();
  try {
    const sql = connect(server.ownerUrl(), { max: 1, statementTimeoutMs: 0 });
    await migrate({ sql });
    const dump = await dumpSchema(sql);
    await sql.end({ timeout: 1 });
    return dump;
  } finally {
    await server.stop();
  }
}

function firstDifference(kept: readonly string[], made: readonly string[]): string {
  const index = made.findIndex((line, i) => line !== kept[i]);
  const line = index === -1 ? made.length : index;
  return [
    `db/schema.sql:${line + 1}: is not what the migrations make (npm run db:schema -- --write)`,
    `  file:       ${kept[line] ?? '(end)'}`,
    `  migrations: ${made[line] ?? '(end)'}`,
  ].join('\n');
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`db:schema: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  },
);
