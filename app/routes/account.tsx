import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Outlet, useLoaderData } from '@remix-run/react';
import { ErrorPage } from '../components/error-page.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { SectionNav } from '../components/section-nav.tsx';
import { TextLink } from '../components/text-link.tsx';
import { requireUser } from '../guards.server.ts';
import { toWire } from '../wire.ts';

export async function loader({ context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const lowBalance = await context.services.alerts.lowBalance(user.id);
  return json({ lowBalance: lowBalance && toWire(lowBalance) });
}

const sections = [
  { to: '/account', label: 'Overview', end: true },
  { to: '/account/activity', label: 'Activity', end: false },
  { to: '/account/statements', label: 'Statements', end: false },
  { to: '/account/prices', label: 'Prices', end: false },
  { to: '/account/payment-methods', label: 'Cards', end: false },
  { to: '/account/settings', label: 'Settings', end: false },
];

export default function AccountLayout() {
  return (
    <>
      <AccountNav />
      <LowBalance />
      <Outlet />
    </>
  );
}

/** Stays until there is more than the threshold again. */
function LowBalance() {
  const { lowBalance } = useLoaderData<typeof loader>();
  if (lowBalance === null) return null;
  const { availableMicros, thresholdMicros, currency } = lowBalance;
  return (
    <section aria-label="Low balance" className="mb-5 print:hidden">
      <Notice tone="warning" title="Your balance is low">
        <Money micros={availableMicros} currency={currency} /> is available, less than the{' '}
        <Money micros={thresholdMicros} currency={currency} /> at which you want to be told.{' '}
        <TextLink to="/account/top-up">Add funds</TextLink> or{' '}
        <TextLink to="/account/settings#alerts">change your alerts</TextLink>.
      </Notice>
    </section>
  );
}

export function ErrorBoundary() {
  return (
    <>
      <AccountNav />
      <ErrorPage />
    </>
  );
}

function AccountNav() {
  return <SectionNav label="Account" sections={sections} />;
}
