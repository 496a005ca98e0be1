/** What support staff see. */

import { arrearsTerms, changeArrearsTerms } from '../../store/arrears-terms.ts';
import { ledgerTotals } from '../../store/ledger-totals.ts';
import { mailSummary, reviveDeadMails } from '../../store/mail-outbox.ts';
import { monthProgress } from '../../store/month.ts';
import type { Sql } from '../../store/sql.ts';
import { inboxSummary } from '../../store/stripe-inbox.ts';
import type { AdminServices } from '../../views/admin.ts';
import type { Month } from '../month/month.ts';

/** Those that a page shows. */
const MAX_FAILURES = 100;

export function createAdmin(options: { sql: Sql; month: Month }): AdminServices {
  const { sql, month } = options;
  return {
    billing: () => month.status(),
    async month() {
      const status = await month.status();
      return { status, ...(await monthProgress(sql, status.period, MAX_FAILURES)) };
    },
    startBilling: (actor) => month.start(actor),
    arrearsTerms: () => arrearsTerms(sql),
    changeArrearsTerms: (change, actor) => changeArrearsTerms(sql, change, actor),
    inbox: () => inboxSummary(sql),
    mail: () => mailSummary(sql),
    reviveMails: () => reviveDeadMails(sql),
    ledger: () => ledgerTotals(sql),
  };
}
