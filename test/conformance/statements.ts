import { chapter1 as data311 } from './mqtt-3.1.1/1-data.ts'
import { chapter2 as format311 } from './mqtt-3.1.1/2-packet-format.ts'
import { chapter3 as packets311 } from './mqtt-3.1.1/3-packets.ts'
import { chapter4 as behaviour311 } from './mqtt-3.1.1/4-behaviour.ts'
import { chapter6 as websocket311 } from './mqtt-3.1.1/6-websocket.ts'
import { chapter7 as conformance311 } from './mqtt-3.1.1/7-conformance.ts'
import { chapter1 as data5 } from './mqtt-5/1-data.ts'
import { chapter2 as format5 } from './mqtt-5/2-packet-format.ts'
import { chapter3 as packets5 } from './mqtt-5/3-packets.ts'
import { chapter4 as behaviour5 } from './mqtt-5/4-behaviour.ts'
import { chapter6 as websocket5 } from './mqtt-5/6-websocket.ts'
import type { Chapter, Requirement } from './statement.ts'

/** One normative statement of a standard. */
export interface Statement extends Requirement {
  /** As a test names it in its title: `[MQTT-…]` of MQTT 5, `[MQTT3-…]` of 3.1.1, which numbers otherwise. */
  readonly tag: string
}

const mqtt311 = [data311, format311, packets311, behaviour311, websocket311, conformance311]
const mqtt5 = [data5, format5, packets5, behaviour5, websocket5]

/** All that the standards number. */
export const statements: readonly Statement[] = [...tagged('MQTT3', mqtt311), ...tagged('MQTT', mqtt5)]

function tagged(standard: string, chapters: readonly Chapter[]): Statement[] {
  return chapters
    .flatMap((chapter) => Object.entries(chapter))
    .map(([id, of]) => ({ tag: `${standard}-${id}`, ...(typeof of === 'string' ? { text: of } : of) }))
}
