import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Outlet } from '@remix-run/react';
import { SectionNav } from '../components/section-nav.tsx';
import { requireSupport } from '../guards.server.ts';

export function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  return json(null);
}

const sections = [
  { to: '/admin', label: 'Overview', end: true },
  { to: '/admin/month', label: 'Month', end: false },
  { to: '/admin/inbox', label: 'Inbox', end: false },
  { to: '/admin/quarantine', label: 'Quarantine', end: false },
  { to: '/admin/disputes', label: 'Disputes', end: false },
  { to: '/admin/differences', label: 'Differences', end: false },
  { to: '/admin/rate-cards', label: 'Rate cards', end: false },
];

export default function AdminLayout() {
  return (
    <>
      <SectionNav label="Admin" sections={sections} />
      <Outlet />
    </>
  );
}
