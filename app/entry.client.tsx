import { RemixBrowser } from '@remix-run/react';
import { StrictMode, startTransition } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { DocumentContext } from './document-context.ts';

const requestId = document.querySelector<HTMLMetaElement>('meta[name="request-id"]')?.content ?? '';

startTransition(() => {
  hydrateRoot(
    document,
    <StrictMode>
      <DocumentContext.Provider value={{ cspNonce: '', requestId }}>
        <RemixBrowser />
      </DocumentContext.Provider>
    </StrictMode>,
  );
});
