import { useEffect, useRef } from 'react';
import type { z } from 'zod';

/** What was wrong with a form: of the whole, and of each field by name. */
export interface FormErrors {
  form?: string | undefined;
  fields: Readonly<Record<string, string>>;
}

/** A form that was sent and not accepted. */
export interface RefusedForm extends FormErrors {
  /** Which of the page's forms it is. */
  intent: string | null;
  /** What was typed, by field, without passwords: a page without scripts has forgotten it. */
  typed: Readonly<Record<string, string>>;
}

/** The first problem of each field. The messages are the schema's and hold no input. */
export function fieldErrors(error: z.ZodError): FormErrors {
  const fields: Record<string, string> = {};
  for (const { path, message } of error.issues) {
    fields[String(path[0])] ??= message;
  }
  return { fields };
}

/** Moves the focus to the first field with an error, once for each answer of the server. */
export function useFocusFirstError(errors: FormErrors | undefined) {
  const formRef = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (errors) formRef.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [errors]);
  return formRef;
}
