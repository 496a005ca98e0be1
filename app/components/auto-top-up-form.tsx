import { useNavigation } from '@remix-run/react';
import type { AutoTopUpView } from '../../server/views/auto-top-ups.ts';
import type { RefusedForm } from '../form-errors.ts';
import { formatMoney, microsToAmount } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { CheckedForm } from './checked-form.tsx';
import { ConfirmBox } from './confirm-box.tsx';
import { Field, RadioField } from './field.tsx';

interface AutoTopUpFormProps {
  view: Wire<AutoTopUpView>;
  refused: RefusedForm | undefined;
}

/** The terms, and the consent to them. Each change is agreed to anew. */
export function AutoTopUpForm({ view, refused }: AutoTopUpFormProps) {
  const { settings, limits, currency, consent } = view;
  const busy = useNavigation().formData?.get('intent') === 'save';
  const amount = (micros: string) => microsToAmount(BigInt(micros), limits.exponent);
  const preset = (index: number) => amount(limits.presetsMicros[index] ?? limits.minMicros);
  const money = {
    inputMode: 'decimal',
    autoComplete: 'off',
    required: true,
    className: 'tabular-nums',
  } as const;
  return (
    <CheckedForm intent="save" refused={refused} className="grid gap-5">
      <Field
        {...money}
        name="threshold"
        label={`When less than this is available (${currency})`}
        defaultValue={settings ? amount(settings.thresholdMicros) : preset(0)}
      />
      <RadioField
        name="mode"
        label="Then"
        options={[
          ['restore', 'charge what restores the amount below'],
          ['add', 'add the amount below, as many times as it takes'],
        ]}
        defaultValue={settings?.mode ?? 'restore'}
      />
      <Field
        {...money}
        name="amount"
        label={`Amount (${currency})`}
        hint={`One charge is from ${formatMoney(limits.minMicros, currency)} to ${formatMoney(limits.maxMicros, currency)}.`}
        defaultValue={settings ? amount(settings.amountMicros) : preset(1)}
      />
      <Field
        {...money}
        name="monthlyCap"
        label={`Never more than this in a month (${currency})`}
        hint="Calendar months in your time zone."
        defaultValue={settings ? amount(settings.monthlyCapMicros) : preset(3)}
      />
      <ConfirmBox name="consent" value={consent.version}>
        {consent.text}
      </ConfirmBox>
      <Button busy={busy} className="justify-self-start">
        {settings === null || settings.status === 'off' ? 'Turn on' : 'Save'}
      </Button>
    </CheckedForm>
  );
}
