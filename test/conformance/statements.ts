import { mqtt311 } from './mqtt-3.1.1.ts'
import { mqtt5 } from './mqtt-5.ts'

/** One normative statement that a server has to keep, in a few words of ours. */
export interface Statement {
  /** As a test names it in its title: `[MQTT-…]` of MQTT 5, `[MQTT3-…]` of 3.1.1, which numbers otherwise. */
  readonly tag: string
  readonly text: string
}

export const statements: readonly Statement[] = [
  ...Object.entries(mqtt311).map(([id, text]) => ({ tag: `MQTT3-${id}`, text })),
  ...Object.entries(mqtt5).map(([id, text]) => ({ tag: `MQTT-${id}`, text })),
]
