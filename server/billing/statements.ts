/** The statements that a user reads. */
import { findStatement, listStatements, type StoredStatement } from '../store/month.ts';
import type { Sql } from '../store/sql.ts';

/** Twenty years of one wallet. */
const MAX_STATEMENTS = 240;

export interface Statements {
  /** Of all of the user's wallets, newest first. */
  list(userId: string): Promise<StoredStatement[]>;
  /** Null when no wallet of the user has a statement of that number. */
  get(userId: string, number: string): Promise<StoredStatement | null>;
}

export function createStatements(sql: Sql): Statements {
  return {
    list: (userId) => listStatements(sql, userId, MAX_STATEMENTS),
    get: (userId, number) => findStatement(sql, userId, number),
  };
}
