import { numbersPerMs } from '#core/stores/session-directory.ts'

/** By what a session was opened: what may end it, beside its principal. */
export interface SessionMark {
  /** Of a user. Of a credential, when it was issued. */
  readonly uid: string
  /** Of a credential that was exchanged. */
  readonly provider?: string
  /** Of a credential that an API key alone vouches for. */
  readonly apiKey?: string
  /** A principal of this name with another uid is somebody else, and inherits nothing. */
  readonly isFixed?: boolean
}

/** A session that is in the store, connected or not. */
export interface FoundSession {
  readonly id: string
  /** Of its last opening. */
  readonly epoch: string
  /** When that was, in ms since the epoch. */
  readonly openedAt: number
  /** Undefined where nobody said it. */
  readonly mark?: SessionMark
}

/** What an epoch says of it after its number: `<uid> <provider> <API key>`. */
export function markText({ uid, provider = '', apiKey = '' }: SessionMark): readonly [string, string] {
  return [uid, `${provider} ${apiKey}`.trimEnd()]
}

/** An epoch is `<number> <uid> <provider> <API key>`; what is missing at its end is not there. */
export function foundSession(id: string, epoch: string): FoundSession {
  const [number = '', uid = '', provider = '', apiKey = ''] = epoch.split(' ')
  const mark = {
    uid,
    ...(provider === '' ? {} : { provider }),
    ...(apiKey === '' ? {} : { apiKey }),
  }
  const openedAt = Math.floor(Number(number) / numbersPerMs)
  return { id, epoch, openedAt, ...(uid === '' ? {} : { mark }) }
}
