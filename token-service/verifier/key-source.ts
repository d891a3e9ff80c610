/** Where an issuer's keys are: at a known address, or where its discovery document says. */
export type KeySource = { readonly jwksUri: string } | { readonly discoveryOf: string }
