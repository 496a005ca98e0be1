/** Users who never sign in, for what tests do in their name. */
import { insertUserWithRole } from './accounts.ts';
import type { Sql } from './sql.ts';

/** Adds a user with this address; `owner` is the schema's, who alone can choose an id. */
export async function addUser(owner: Sql, id: string, email = `${id}@example.com`): Promise<void> {
  const user = { id, email, role: 'user', passwordHash: '$argon2id$none' } as const;
  await insertUserWithRole(owner, user);
}
