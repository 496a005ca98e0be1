import { hash, verify } from '@node-rs/argon2';

/**
 * Argon2id, which is the library's default, with OWASP's parameters.
 * @see https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
 */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

const MIN_LENGTH = 8;
const MAX_LENGTH = 200;

/** What is wrong with a new password, as a sentence for its owner; null when nothing is. */
export function passwordProblem(password: string, email: string): string | null {
  const { length } = [...password];
  if (length < MIN_LENGTH) return `A password needs at least ${MIN_LENGTH} characters.`;
  if (length > MAX_LENGTH) return `A password may have at most ${MAX_LENGTH} characters.`;
  if (password.trim().toLowerCase() === email.toLowerCase()) {
    return 'The password must not be the email address.';
  }
  return null;
}

/** The password's argon2id hash, salted anew each time. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, ARGON2);
}

let decoy: Promise<string> | undefined;

/**
 * Whether the password has this hash. Without a hash the answer is no, after the same work: its
 * time does not tell who has an account.
 */
export async function passwordMatches(
  passwordHash: string | undefined,
  password: string,
): Promise<boolean> {
  decoy ??= hashPassword('');
  const decoyHash = await decoy;
  const matches = await verify(passwordHash ?? decoyHash, password);
  return matches && passwordHash !== undefined;
}
