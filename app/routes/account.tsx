import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { NavLink, Outlet, type ShouldRevalidateFunction } from '@remix-run/react';
import { ErrorPage } from '../components/error-page.tsx';
import { requireUser } from '../guards.server.ts';

export function loader({ context }: LoaderFunctionArgs) {
  requireUser(context);
  return json(null);
}

/** Every page inside guards itself and asks again; the frame has nothing that could change. */
export const shouldRevalidate: ShouldRevalidateFunction = () => false;

const sections = [
  { to: '/account', label: 'Overview', end: true },
  { to: '/account/activity', label: 'Activity', end: false },
  { to: '/account/statements', label: 'Statements', end: false },
  { to: '/account/payment-methods', label: 'Cards', end: false },
  { to: '/account/settings', label: 'Settings', end: false },
];

export default function AccountLayout() {
  return (
    <>
      <AccountNav />
      <Outlet />
    </>
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
  return (
    <nav aria-label="Account" className="mb-8 border-b border-line print:hidden">
      <ul className="-mb-px flex flex-wrap gap-x-3.5 text-sm sm:gap-x-7 sm:text-base">
        {sections.map(({ to, label, end }) => (
          <li key={to}>
            <NavLink
              to={to}
              end={end}
              className="flex min-h-11 items-center border-b-2 border-transparent font-medium text-ink-soft hover:text-ink aria-[current=page]:border-accent aria-[current=page]:text-accent"
            >
              {label}
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}
