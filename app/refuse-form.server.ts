import { json } from '@remix-run/node';
import type { FormErrors, RefusedForm } from './form-errors.ts';

/** Longer than anything that is right. */
const MOST_KEPT = 2_000;

/** What a service says of a form that it does not take; see `Refused` of server/views. */
interface Refusal {
  message?: string | undefined;
  problems?: Readonly<Record<string, string | undefined>>;
}

/** The answer to a form that is not accepted: every problem, and what was typed. */
export function refuseForm(form: FormData, errors: FormErrors, init: ResponseInit) {
  const intent = form.get('intent');
  const refused: RefusedForm = {
    ...errors,
    intent: typeof intent === 'string' ? intent : null,
    typed: typedIn(form),
  };
  return json({ refused }, init);
}

/** A service's refusal as the errors of its form. */
export function errorsOf({ message, problems = {} }: Refusal): FormErrors {
  const entries = Object.entries(problems);
  const fields = entries.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { form: message, fields: Object.fromEntries(fields) };
}

/** The fields as they were typed. Files and passwords are never sent back. */
export function typedIn(form: FormData): Record<string, string> {
  const typed: Record<string, string> = {};
  for (const [name, value] of form) {
    if (typeof value === 'string' && !/password/i.test(name)) {
      typed[name] = value.slice(0, MOST_KEPT);
    }
  }
  return typed;
}
