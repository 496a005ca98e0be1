import { Form } from '@remix-run/react';
import type { RuleFields } from '../../server/views/rate-cards.ts';
import { usageTypeName, usageTypeOptions } from '../usage-names.ts';
import { Button } from './button.tsx';
import { DataTable } from './data-table.tsx';
import { EmptyState } from './empty-state.tsx';
import { Field, SelectField } from './field.tsx';
import { TextLink } from './text-link.tsx';

export interface RuleFilter {
  type: string;
  prefix: string;
}

/** Looks rules up by type and by how their prefix begins. */
export function RuleFilterForm({ filter }: { filter: RuleFilter }) {
  return (
    <Form
      method="get"
      className="mb-3 grid items-end gap-3 sm:grid-cols-[auto_1fr_auto]"
      key={JSON.stringify(filter)}
    >
      <SelectField
        name="type"
        label="Type"
        defaultValue={filter.type}
        options={[['', 'All'], ...usageTypeOptions]}
      />
      <Field
        name="prefix"
        label="Prefix begins with"
        inputMode="numeric"
        autoComplete="off"
        defaultValue={filter.prefix}
      />
      <Button tone="secondary">Show</Button>
    </Form>
  );
}

/** Asks for the rules that price a number, which is private and stays out of the address. */
export function RulesOfNumberForm() {
  return (
    <Form method="post" className="mb-3 grid items-end gap-3 sm:grid-cols-[1fr_auto]">
      <input type="hidden" name="intent" value="number" />
      <Field name="number" label="Price of a number" inputMode="tel" autoComplete="off" />
      <Button tone="secondary">Find its price</Button>
    </Form>
  );
}

interface RuleTableProps {
  rules: RuleFields[];
  currency: string;
  /** Where a rule is edited; without it the rules are only shown. */
  editAddress?: (rule: RuleFields) => string;
}

/** Rules of a card, with their prices as they are written. */
export function RuleTable({ rules, currency, editAddress }: RuleTableProps) {
  if (rules.length === 0) return <EmptyState title="No such rule" />;
  return (
    <DataTable
      caption="Rules"
      columns={[
        { key: 'target', title: 'For' },
        { key: 'price', title: `Price, ${currency}`, numeric: true },
        { key: 'fee', title: 'Connection', numeric: true },
      ]}
      rows={rules.map((rule) => ({
        key: `${rule.type}:${rule.prefix}`,
        cells: {
          target: (
            <>
              {editAddress ? (
                <TextLink to={editAddress(rule)}>{targetOf(rule)}</TextLink>
              ) : (
                targetOf(rule)
              )}
              <span className="block text-sm font-normal wrap-anywhere text-ink-soft">
                {termsOf(rule)}
              </span>
            </>
          ),
          price: rule.price,
          fee: rule.connectionFee,
        },
      }))}
    />
  );
}

function targetOf({ type, prefix }: RuleFields): string {
  return `${usageTypeName(type)} ${prefix === '' ? 'to anywhere' : `to ${prefix}…`}`;
}

function termsOf(rule: RuleFields): string {
  const { type, initialSeconds, nextSeconds, minimum, maximum, rounding, more } = rule;
  const terms = [
    type === 'call' && `A minute, billed ${initialSeconds}/${nextSeconds}`,
    minimum !== '' && `at least ${minimum}`,
    maximum !== '' && `at most ${maximum}`,
    rounding !== '' && `rounded ${rounding.replace('_', ' ')}`,
    more,
  ];
  return terms.filter(Boolean).join(', ');
}
