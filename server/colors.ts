/** The colours of the pages, for what has no style sheet: mails and documents. See app/styles.css. */
export const INK = '#14211c';
export const INK_SOFT = '#4d5b55';
export const LINE = '#dfe4e1';
export const ACCENT = '#0b6650';
export const CANVAS = '#f6f7f6';
export const SURFACE = '#ffffff';
