/** What a person sent and a service does not take. */
export interface Refused<Field extends string> {
  ok: false;
  /** What is wrong with the whole of it, as a sentence. */
  message?: string;
  /** What is wrong with each field, as a sentence: all that is wrong, not only the first. */
  problems: Partial<Record<Field, string>>;
}
