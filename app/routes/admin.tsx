import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { Outlet } from '@remix-run/react';
import { requireSupport } from '../guards.server.ts';

export function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  return json(null);
}

export default function AdminLayout() {
  return <Outlet />;
}
