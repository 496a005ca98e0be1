import { migrate } from '../store/migrate.ts';

/** `npm run db:migrate`: brings the database to this program's schema. */
async function main(): Promise<number> {
  // The owner of the tables may be another user than the one the server connects as.
  const url = process.env.DATABASE_OWNER_URL || process.env.DATABASE_URL;
  if (!url) {
    console.error('db:migrate: set DATABASE_OWNER_URL (the owner of the tables) or DATABASE_URL');
    return 2;
  }
  const { applied, version } = await migrate({ url });
  for (const name of applied) console.log(`applied ${name}`);
  console.log(
    applied.length === 0
      ? `nothing to do: the schema is at version ${version}`
      : `the schema is now at version ${version}`,
  );
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`db:migrate: ${message}`);
    process.exitCode = 1;
  },
);
