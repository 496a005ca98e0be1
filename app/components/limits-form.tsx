import { Form, useNavigation } from '@remix-run/react';
import type { LimitView } from '../../server/http/views/spending-limits.ts';
import type { TypedLimit } from '../../server/http/views/wallet-desk.ts';
import { useFocusFirstError } from '../form-errors.ts';
import { microsToAmount } from '../format.ts';
import { describeStanding } from '../limits.ts';
import { usageTypeName } from '../usage-names.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { Field, inputClass } from './field.tsx';

/** As many as a wallet may have. */
const MOST = 20;
/** Offered beyond those that there are. */
const EMPTY_ROWS = 2;
const TYPES = ['call', 'sms', 'email', 'fax', 'file_transfer'];
/** Rows have no identity but their place. */
const places = Array.from({ length: MOST }, (_, place) => place);
const EMPTY: TypedLimit = { period: 'day', type: '', prefix: '', amount: '' };

interface LimitsFormProps {
  limits: Wire<LimitView>[];
  currency: string;
  exponent: number;
  /** What was sent and not accepted, with the problems by their place. */
  refused: { typed: TypedLimit[]; problems: Record<number, string> } | null;
}

/** The limits of a wallet, a row each; an empty amount takes a row away. */
export function LimitsForm({ limits, currency, exponent, refused }: LimitsFormProps) {
  const isSaving = useNavigation().formData?.get('intent') === 'limits';
  const formRef = useFocusFirstError(refused === null ? undefined : { fields: refused.problems });
  // Rows that were refused keep their places.
  const typed =
    refused?.typed.slice(0, lastFilled(refused.typed) + 1) ??
    limits.map((limit) => typedLimit(limit, exponent));
  const rows = [...typed, ...Array<TypedLimit>(EMPTY_ROWS).fill(EMPTY)].slice(0, MOST);
  return (
    <Form method="post" ref={formRef} noValidate className="grid gap-5">
      <input type="hidden" name="intent" value="limits" />
      <p className="text-ink-soft">
        The most that may be spent in a day or a month of the wallet’s time zone. Usage that would
        pass a limit is refused; a limit of 0 refuses all of it. Empty the amount to take a limit
        away.
      </p>
      <ol className="grid gap-5">
        {places.slice(0, rows.length).map((place) => {
          const row = rows[place] ?? EMPTY;
          const standing = refused === null ? limits[place] : undefined;
          return (
            <li key={place} className="grid items-start gap-3 sm:grid-cols-4">
              <Choice
                name={`period${place}`}
                label={`Limit ${place + 1}: in a`}
                value={row.period}
                options={[
                  ['day', 'Day'],
                  ['month', 'Month'],
                ]}
              />
              <Choice
                name={`type${place}`}
                label="For"
                value={row.type}
                options={[
                  ['', 'All usage'],
                  ...TYPES.map((type) => [type, usageTypeName(type)] as const),
                ]}
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
                error={refused?.problems[place]}
              />
            </li>
          );
        })}
      </ol>
      <Button tone="secondary" busy={isSaving} className="justify-self-start">
        Save limits
      </Button>
    </Form>
  );
}

interface ChoiceProps {
  name: string;
  label: string;
  value: string;
  options: (readonly [value: string, label: string])[];
}

function Choice({ name, label, value, options }: ChoiceProps) {
  return (
    <div className="grid content-start gap-1.5">
      <label htmlFor={name} className="font-medium">
        {label}
      </label>
      <select id={name} name={name} defaultValue={value} className={inputClass}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

function typedLimit(limit: Wire<LimitView>, exponent: number): TypedLimit {
  const { period, type = '', prefix = '', amountMicros } = limit;
  return { period, type, prefix, amount: microsToAmount(BigInt(amountMicros), exponent) };
}

function lastFilled(typed: TypedLimit[]): number {
  return typed.findLastIndex(({ amount, prefix }) => amount !== '' || prefix !== '');
}

/** What the form says, row by row; the server decides whether these are limits. */
export function readLimitsForm(form: FormData): TypedLimit[] {
  const text = (name: string) => String(form.get(name) ?? '').slice(0, 40);
  return places.map((place) => ({
    period: text(`period${place}`),
    type: text(`type${place}`),
    prefix: text(`prefix${place}`),
    amount: text(`amount${place}`),
  }));
}
