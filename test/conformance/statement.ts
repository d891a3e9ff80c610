/** What a normative statement asks for, in a few words of ours. */
export interface Requirement {
  readonly text: string
  /** Why no test from outside can show it. */
  readonly untestable?: string
}

/** The statements of one chapter of a standard, by number. */
export type Chapter = Readonly<Record<string, Requirement | string>>

/** It binds the client; what the server does about a client that does not keep it may have a test all the same. */
export const ofTheClient = (text: string): Requirement => ({ text, untestable: 'it binds the client' })

/** It binds servers that have, or lack, something that ours does not. */
export const neverHere = (text: string, why: string): Requirement => ({ text, untestable: why })
