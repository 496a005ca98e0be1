import { useNavigation } from '@remix-run/react';
import type { LimitView } from '../../server/views/spending-limits.ts';
import type { LimitProblems, TypedLimit } from '../../server/views/wallet-desk.ts';
import type { FormErrors, RefusedForm } from '../form-errors.ts';
import { microsToAmount } from '../format.ts';
import { describeStanding } from '../limits.ts';
import { usageTypeOptions } from '../usage-names.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { CheckedForm } from './checked-form.tsx';
import { Field, SelectField } from './field.tsx';

/** As many as a wallet may have. */
const MOST = 20;
/** Offered beyond those that there are. */
const EMPTY_ROWS = 2;
/** Rows have no identity but their place. */
const places = Array.from({ length: MOST }, (_, place) => place);
/** Above the form a field is called after its row. */
const LABELS: Readonly<Record<string, string>> = Object.fromEntries(
  places.flatMap((place) =>
    ['period', 'type', 'prefix', 'amount'].map((field) => [
      `${field}${place}`,
      `Limit ${place + 1}`,
    ]),
  ),
);
const EMPTY: TypedLimit = { period: 'day', type: '', prefix: '', amount: '' };

interface LimitsFormProps {
  limits: Wire<LimitView>[];
  currency: string;
  exponent: number;
  refused: RefusedForm | undefined;
}

/** The limits of a wallet, a row each; an empty amount takes a row away. */
export function LimitsForm({ limits, currency, exponent, refused }: LimitsFormProps) {
  const isSaving = useNavigation().formData?.get('intent') === 'limits';
  const isRefused = refused?.intent === 'limits';
  // Rows that were refused keep their places.
  const typed = isRefused
    ? filled(typedLimits((name) => refused.typed[name] ?? ''))
    : limits.map((limit) => typedLimit(limit, exponent));
  const rows = [...typed, ...Array<TypedLimit>(EMPTY_ROWS).fill(EMPTY)].slice(0, MOST);
  return (
    <CheckedForm intent="limits" refused={refused} labels={LABELS} className="grid gap-5">
      <p className="text-ink-soft">
        The most that may be spent in a day or a month of the wallet’s time zone. Usage that would
        pass a limit is refused; a limit of 0 refuses all of it. Empty the amount to take a limit
        away.
      </p>
      <ol className="grid gap-5">
        {places.slice(0, rows.length).map((place) => {
          const row = rows[place] ?? EMPTY;
          const standing = isRefused ? undefined : limits[place];
          return (
            <li key={place} className="grid items-start gap-3 sm:grid-cols-4">
              <SelectField
                name={`period${place}`}
                label={`Limit ${place + 1}: in a`}
                defaultValue={row.period}
                options={[
                  ['day', 'Day'],
                  ['month', 'Month'],
                ]}
              />
              <SelectField
                name={`type${place}`}
                label="For"
                defaultValue={row.type}
                options={[['', 'All usage'], ...usageTypeOptions]}
              />
              <Field
                name={`prefix${place}`}
                label="To numbers from"
                inputMode="tel"
                autoComplete="off"
                defaultValue={row.prefix}
              />
              <Field
                name={`amount${place}`}
                label={`At most (${currency})`}
                inputMode="decimal"
                autoComplete="off"
                defaultValue={row.amount}
                hint={standing && describeStanding(standing, currency)}
              />
            </li>
          );
        })}
      </ol>
      <Button tone="secondary" busy={isSaving} className="justify-self-start">
        Save limits
      </Button>
    </CheckedForm>
  );
}

function typedLimit(limit: Wire<LimitView>, exponent: number): TypedLimit {
  const { period, type = '', prefix = '', amountMicros } = limit;
  return { period, type, prefix, amount: microsToAmount(BigInt(amountMicros), exponent) };
}

/** Without the empty rows after the last one that has something. */
function filled(typed: TypedLimit[]): TypedLimit[] {
  const last = typed.findLastIndex(({ amount, prefix }) => amount !== '' || prefix !== '');
  return typed.slice(0, last + 1);
}

/** What the form says, row by row; the server decides whether these are limits. */
export function readLimitsForm(form: FormData): TypedLimit[] {
  return typedLimits((name) => String(form.get(name) ?? '').slice(0, 40));
}

/** The problems of the limits, which come by their place, at their fields. */
export function limitErrors(problems: LimitProblems): FormErrors {
  const fields = Object.entries(problems).flatMap(([place, wrong]) =>
    Object.entries(wrong).map(([field, problem]) => [`${field}${place}`, problem]),
  );
  return { fields: Object.fromEntries(fields) };
}

function typedLimits(text: (name: string) => string): TypedLimit[] {
  return places.map((place) => ({
    period: text(`period${place}`),
    type: text(`type${place}`),
    prefix: text(`prefix${place}`),
    amount: text(`amount${place}`),
  }));
}
