import { createContext, useContext } from 'react';

/**
 * What one HTML document needs to know about its own request.
 *
 * It is a React context and not loader data, because loader data is fetched again by the browser
 * and a nonce must never be readable there.
 */
export interface DocumentContextValue {
  /** Nonce of the content security policy; empty in the browser, where the attribute is hidden. */
  cspNonce: string;
  /** Id of the request that produced this document, as the server's log has it. */
  requestId: string;
}

export const DocumentContext = createContext<DocumentContextValue>({ cspNonce: '', requestId: '' });

export function useDocumentContext(): DocumentContextValue {
  return useContext(DocumentContext);
}
