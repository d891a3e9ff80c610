/** What decisions cost, in a process where nothing else runs: one line of JSON. */
import { measureDecisions } from './decisions.ts'

const counts = process.argv.slice(2).map(Number)
process.stdout.write(`${JSON.stringify(counts.map(measureDecisions))}\n`)
