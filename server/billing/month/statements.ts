/** The statements that a user reads, and their files. */

import { csvLine } from '../../ledger/csv.ts';
import { eventColumns, eventFields } from '../../ledger/event-file.ts';
import type { StatementFee } from '../../ledger/statement.ts';
import { statementColumns, statementFields } from '../../ledger/statement-file.ts';
import type { Attachment } from '../../mail/mailer.ts';
import type { Sql } from '../../store/sql.ts';
import {
  chainedEvents,
  findStatement,
  listStatements,
  setStatementsByMail,
  statementsByMail,
} from '../../store/statements.ts';
import { feesBetween } from '../../store/subscriptions.ts';
import type { StatementServices, StatementView } from '../../views/statements.ts';
import { exponentOf } from '../wallets/currencies.ts';
import { statementPdf } from './statement-pdf.ts';

/** Twenty years of one wallet. */
const MAX_STATEMENTS = 240;
/** Some hundred kilobytes of an export, which are in memory at once. */
const EVENTS_PER_READ = 500;

const PDF = 'application/pdf';
const CSV = 'text/csv; charset=utf-8';

export interface Statements extends StatementServices {
  /**
   * The document of the statement of that number, for whoever it belongs to.
   * @throws Error when there is no such statement
   */
  document(number: string, customer: string): Promise<Attachment>;
}

export function createStatements({ sql, appName }: { sql: Sql; appName: string }): Statements {
  const pdf = async (statement: StatementView, customer: string) =>
    statementPdf({
      statement,
      fees: await feesBetween(sql, statement),
      customer,
      appName,
      exponent: exponentOf(statement.currency),
    });

  return {
    list: (userId) => listStatements(sql, userId, MAX_STATEMENTS),
    get: (userId, number) => findStatement(sql, { userId, number }),
    fees: (statement) => feesBetween(sql, statement),

    async download({ userId, customer, number, file }) {
      const statement = await findStatement(sql, { userId, number });
      if (statement === null) {
        return null;
      }
      const name = `statement-${statement.number}`;
      switch (file) {
        case 'statement.pdf':
          return {
            fileName: `${name}.pdf`,
            contentType: PDF,
            body: await pdf(statement, customer),
          };
        case 'statement.csv':
          return {
            fileName: `${name}.csv`,
            contentType: CSV,
            body: encode(statementCsv(statement, await feesBetween(sql, statement))),
          };
        case 'events.csv':
          return {
            fileName: `${name}-events.csv`,
            contentType: CSV,
            body: streamed(eventsCsv(sql, statement)),
          };
        default:
          return null;
      }
    },

    async document(number, customer) {
      const statement = await findStatement(sql, { number });
      if (statement === null) {
        throw new Error(`there is no statement ${number}`);
      }
      return {
        fileName: `statement-${number}.pdf`,
        contentType: PDF,
        content: await pdf(statement, customer),
      };
    },

    sendsByMail: (userId) => statementsByMail(sql, userId),
    sendByMail: (userId, byMail) => setStatementsByMail(sql, userId, byMail),
  };
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** The statement's figures, and its fees by name. */
export function statementCsv(statement: StatementView, fees: readonly StatementFee[]): string {
  return [[...statementColumns], ...statementFields(statement, fees)].map(csvLine).join('');
}

/**
 * Every event of the statement's period. Events never change, so they can be read in pieces, as fast
 * as the reader takes them, without holding a connection in between.
 */
export async function* eventsCsv(
  sql: Sql,
  { walletId, currency, fromSeq, toSeq }: StatementView,
): AsyncGenerator<string> {
  yield csvLine(eventColumns);
  let afterSeq = fromSeq - 1n;
  while (afterSeq < toSeq) {
    const events = await chainedEvents(sql, walletId, { afterSeq, toSeq, limit: EVENTS_PER_READ });
    const last = events.at(-1);
    if (last === undefined) {
      throw new Error(`the statement's event ${afterSeq + 1n} is missing`);
    }
    yield events.map((event) => csvLine(eventFields(event, currency))).join('');
    afterSeq = last.seq;
  }
}

/** The text as a body that is made only as fast as it is read. */
function streamed(chunks: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) {
        controller.close();
      } else {
        controller.enqueue(encode(value));
      }
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}
