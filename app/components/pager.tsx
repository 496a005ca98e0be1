import { ButtonLink } from './button.tsx';

interface PagerProps {
  /** Address of the page that a set of query parameters asks for. */
  address: (query: Record<string, string>) => string;
  isFirstPage: boolean;
  nextCursor: string | null;
  /** Which list it is, on a page with several. */
  label?: string;
}

/** The way through a list that is read newest first, page by page. */
export function Pager({ address, isFirstPage, nextCursor, label = 'Pages' }: PagerProps) {
  return (
    <nav aria-label={label} className="mt-5 flex flex-wrap gap-3 empty:hidden">
      {!isFirstPage && (
        <ButtonLink tone="secondary" to={address({})}>
          Newest
        </ButtonLink>
      )}
      {nextCursor !== null && (
        <ButtonLink tone="secondary" to={address({ cursor: nextCursor })}>
          Older
        </ButtonLink>
      )}
    </nav>
  );
}
