/** How a document of text and tables is laid out on A4, the same bytes for the same words, for ever. */
import PDFDocument from 'pdfkit';
import { INK, INK_SOFT, LINE } from '../../colors.ts';

const MARGIN = 56;

export type Document = InstanceType<typeof PDFDocument>;

/** Nothing is read from the clock, and the fonts are those that every reader has. */
export function createDocument(about: {
  readonly title: string;
  readonly author: string;
  readonly createdAt: Date;
}): Document {
  const author = plain(about.author);
  return new PDFDocument({
    size: 'A4',
    margins: { top: MARGIN, bottom: MARGIN + 28, left: MARGIN, right: MARGIN },
    bufferPages: true,
    // How deflate packs is not the same in every version of Node.
    compress: false,
    lang: 'en',
    displayTitle: true,
    info: {
      Title: about.title,
      Author: author,
      Creator: author,
      Producer: author,
      CreationDate: about.createdAt,
    },
  });
}

/** The document's bytes, once it has ended. */
export async function collect(document: Document): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of document) {
    chunks.push(chunk as Uint8Array);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

interface Table {
  /** Parts of the page's width; the first column stands to the left, the others to the right. */
  readonly widths: readonly number[];
  readonly header?: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly total?: readonly string[];
}

const ROW_HEIGHT = 22;

/** A table that goes on over pages, with a line below each row. */
export function table(document: Document, { widths, header, rows, total }: Table): void {
  const width = contentWidth(document);
  const row = (cells: readonly string[], bold: boolean, color: string) => {
    setFont(document, { size: 10.5, bold, color });
    const height = firstCellHeight(document, cells, (widths[0] ?? 0) * width);
    keepTogether(document, height);
    const top = document.y;
    let left = MARGIN;
    for (const [index, cell] of cells.entries()) {
      const cellWidth = (widths[index] ?? 0) * width;
      setFont(document, { size: 10.5, bold, color });
      document.text(plain(cell), left, top + 6, {
        width: cellWidth,
        align: index === 0 ? 'left' : 'right',
        lineBreak: index === 0,
      });
      left += cellWidth;
    }
    document.x = MARGIN;
    document.y = top + height;
    rule(document);
  };
  if (header !== undefined) row(header, false, INK_SOFT);
  for (const cells of rows) row(cells, false, INK);
  if (total !== undefined) row(total, true, INK);
}

/** The name of a row may take several lines. */
function firstCellHeight(document: Document, [name = '']: readonly string[], width: number) {
  return Math.max(ROW_HEIGHT, document.heightOfString(plain(name), { width }) + 10);
}

function rule(document: Document): void {
  document
    .moveTo(MARGIN, document.y)
    .lineTo(MARGIN + contentWidth(document), document.y)
    .lineWidth(0.75)
    .stroke(LINE);
}

/** Labels and their values, one a line. */
export function pairs(document: Document, values: readonly (readonly [string, string])[]): void {
  const labelWidth = 80;
  for (const [label, value] of values) {
    const top = document.y;
    setFont(document, { size: 10.5, color: INK_SOFT });
    document.text(label, MARGIN, top, { width: labelWidth });
    setFont(document, { size: 10.5 });
    document.text(plain(value), MARGIN + labelWidth, top, {
      width: contentWidth(document) - labelWidth,
    });
    document.y += 3;
  }
  document.x = MARGIN;
}

/** A heading, on a new page when little could stand below it. */
export function heading(document: Document, title: string): void {
  keepTogether(document, 90);
  document.y += 24;
  text(document, title, { size: 13, bold: true });
  document.y += 4;
}

/** A remark in smaller, softer letters. */
export function note(document: Document, words: string): void {
  document.y += 6;
  text(document, words, { size: 9.5, color: INK_SOFT });
}

interface Look {
  readonly size: number;
  readonly bold?: boolean;
  readonly color?: string;
  readonly font?: 'Helvetica' | 'Courier';
}

export function text(document: Document, words: string, look: Look): void {
  setFont(document, look);
  document.text(plain(words), MARGIN, document.y, { width: contentWidth(document), lineGap: 2 });
}

function setFont(document: Document, { size, bold, color = INK, font = 'Helvetica' }: Look): void {
  document
    .font(bold ? `${font}-Bold` : font)
    .fontSize(size)
    .fillColor(color);
}

/** Begins a new page when there is no room for so much on this one. */
function keepTogether(document: Document, height: number): void {
  if (document.y + height > document.page.height - document.page.margins.bottom) {
    document.addPage();
  }
}

/** Puts the title and the page's number at the foot of every page. */
export function numberPages(document: Document, title: string): void {
  const { count } = document.bufferedPageRange();
  for (let page = 0; page < count; page += 1) {
    document.switchToPage(page);
    // Below the margin, where text would begin a new page.
    document.page.margins.bottom = 0;
    setFont(document, { size: 9, color: INK_SOFT });
    document.text(title, MARGIN, document.page.height - MARGIN, {
      lineBreak: false,
    });
    document.text(`Page ${page + 1} of ${count}`, MARGIN, document.page.height - MARGIN, {
      width: contentWidth(document),
      align: 'right',
      lineBreak: false,
    });
  }
}

function contentWidth(document: Document): number {
  return document.page.width - 2 * MARGIN;
}

/** What the standard fonts have beside Latin-1 (ISO 32000-1, annex D, WinAnsiEncoding). */
const BEYOND_LATIN_1 = new Set('ƒ–—‘’‚“”„†‡•…€‰‹›ˆ™ŒœŠšŸŽž˜');

/**
 * The text in signs that the standard fonts have. Others, such as those of an address in another
 * script, are named by their code point: left out, two addresses could look the same.
 */
function plain(words: string): string {
  return Array.from(words.normalize('NFC').replaceAll(/[\s\u00a0\u202f]/g, ' '), (sign) =>
    /[ -~¡-ÿ]/.test(sign) || BEYOND_LATIN_1.has(sign)
      ? sign
      : `{U+${sign.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}}`,
  ).join('');
}
