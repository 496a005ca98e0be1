/** A mail before it has a form. */
export interface Letter {
  readonly subject: string;
  readonly paragraphs: readonly string[];
  /** Label and value, in the order in which they are shown. */
  readonly facts: readonly (readonly [label: string, value: string])[];
  readonly action: { readonly label: string; readonly path: string };
  /** Where the reader says what mails of this kind to get; null for those that are always sent. */
  readonly settingsPath: string | null;
  /** Where a mail program stops mails of this kind by one POST; left out where that cannot be. */
  readonly unsubscribePath?: string;
}
