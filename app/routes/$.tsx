import { notFound } from '../guards.server.ts';

/** Every address that no other route knows, so that the error page has its frame around it. */
export function loader() {
  throw notFound();
}

export const action = loader;

export default function UnknownPage() {
  return null;
}
