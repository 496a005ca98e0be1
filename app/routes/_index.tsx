import { json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { ButtonLink } from '../components/button.tsx';

export function loader({ context }: LoaderFunctionArgs) {
  if (context.user !== null) throw redirect('/account');
  return json({ appName: context.config.appName });
}

const points = [
  {
    title: 'Pay first, use later',
    text: 'Top up by card. Calls, messages, faxes and transfers are paid from your balance as they happen.',
  },
  {
    title: 'Every charge explained',
    text: 'Each entry shows its price and how it was worked out, exact to a millionth of the currency.',
  },
  {
    title: 'Held is not spent',
    text: 'Money reserved for a call in progress is shown by itself, and comes back when it is not used.',
  },
  {
    title: 'A statement each month',
    text: 'On the 1st your month is closed: what came in, what went out, and what is left.',
  },
];

export default function LandingPage() {
  const { appName } = useLoaderData<typeof loader>();
  return (
    <div className="grid gap-14 py-6 sm:py-14">
      <section className="grid max-w-2xl gap-5">
        <p className="font-semibold text-accent">{appName}</p>
        <h1 className="text-4xl leading-tight font-semibold tracking-tight text-balance sm:text-5xl">
          Know what you have, and where it went.
        </h1>
        <p className="text-lg text-pretty text-ink-soft">
          One balance for everything you send and every call you make. Add funds when you like, see
          each charge the moment it happens, and never get a bill you did not expect.
        </p>
        <div className="mt-2 flex flex-wrap gap-3">
          <ButtonLink to="/signup">Create account</ButtonLink>
          <ButtonLink to="/login" tone="secondary">
            Sign in
          </ButtonLink>
        </div>
      </section>
      <section aria-label="How it works" className="grid gap-8 sm:grid-cols-2">
        {points.map(({ title, text }) => (
          <div key={title} className="border-t-2 border-accent pt-4">
            <h2 className="text-lg font-semibold">{title}</h2>
            <p className="mt-1 text-ink-soft">{text}</p>
          </div>
        ))}
      </section>
    </div>
  );
}
