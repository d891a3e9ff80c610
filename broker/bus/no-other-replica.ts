import type { Bus } from './bus.ts'

/** Of a process that is alone for good: there is nobody to send to. */
export const noOtherReplica: Bus = {
  replica: 'standalone',
  isCutOff: () => false,
  join: async () => () => {},
  send: () => undefined,
}
