import { ButtonLink } from './button.tsx';

interface PagerProps {
  /** Address of the page that a set of query parameters asks for. */
  address: (query: Record<string, string>) => string;
  isFirstPage: boolean;
  nextCursor: string | null;
}

/** The way through a list that is read newest first, page by page. */
export function Pager({ address, isFirstPage, nextCursor }: PagerProps) {
  return (
    <nav aria-label="Pages" className="mt-5 flex flex-wrap gap-3 empty:hidden">
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
