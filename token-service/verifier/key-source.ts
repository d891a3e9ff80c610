/** Where an issuer's keys are: at a known address, where its discovery document says, or in the settings. */
export type KeySource =
  | { readonly jwksUri: string }
  /** An object of X.509 certificates (PEM) by key id. */
  | { readonly certificatesUri: string }
  | { readonly discoveryOf: string }
  /** One public key (PEM), whatever key id a token names. */
  | { readonly publicKey: string }
