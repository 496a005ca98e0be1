import { NavLink } from '@remix-run/react';

interface SectionNavProps {
  /** Names the navigation for people who cannot see it. */
  label: string;
  sections: readonly { to: string; label: string; end: boolean }[];
}

/** The parts of an area, of which one is open. */
export function SectionNav({ label, sections }: SectionNavProps) {
  return (
    <nav aria-label={label} className="mb-8 border-b border-line print:hidden">
      <ul className="-mb-px grid grid-cols-[repeat(auto-fit,minmax(6rem,1fr))] gap-x-2 text-sm sm:flex sm:flex-wrap sm:gap-x-7 sm:text-base">
        {sections.map(({ to, label: name, end }) => (
          <li key={to}>
            <NavLink
              to={to}
              end={end}
              className="flex min-h-11 items-center border-b-2 border-transparent font-medium text-ink-soft hover:text-ink aria-[current=page]:border-accent aria-[current=page]:text-accent"
            >
              {name}
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}
